"""A supervisor in Python, just large enough to test src/worker.py against docs/PROTOCOL.md."""

import ctypes
import fcntl
import json
import mmap
import os
import select
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
WORKER = os.environ.get("HARNESS_WORKER", os.path.join(ROOT, "src", "worker.py"))
PYTHON = os.environ.get("HARNESS_PYTHON", sys.executable)
VECTORS = os.path.join(ROOT, "crates", "ipc", "vectors")

HEADER = 64
HEAD, TAIL, CAPACITY, WRITER_WAITING, PIPE_SEQ, STDOUT_READ, STDERR_READ, INTERRUPTING, WATCHED = range(9)
OUTPUT, EXEC_START, EXEC_END, DENIED = 0x40, 0x41, 0x42, 0x43
CODE, CODE_PART, RUN, SHUTDOWN = 0x20, 0x50, 0x52, 0x53
F_ADD_SEALS, SEAL_SHRINK, SEAL_GROW = 1033, 2, 4

libc = ctypes.CDLL(None, use_errno=True)


def record(tag, value):
    value = os.fsencode(value) if isinstance(value, str) else bytes(value)
    return struct.pack("<BI", tag, len(value)) + value


ALLOW_ALL = [record(5, b"\x01"), record(6, b"\x0f")]


class End:
    """The parts of one EXEC_END."""

    def __init__(self, number, code, how, error):
        self.number, self.code, self.how, self.error = number, code, how, error

    def __repr__(self):
        return f"End({self.number}, code={self.code}, how={self.how}, error={self.error!r})"


class Supervisor:
    """Starts one worker and drains its ring and pipes in a thread, in the order of PROTOCOL.md."""

    def __init__(self, setup=ALLOW_ALL, shm_size=1 << 20, python=PYTHON, argv=None, cwd=None, start_counter=0):
        self.half = shm_size // 2
        segment = os.memfd_create("segment", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        os.ftruncate(segment, shm_size)
        fcntl.fcntl(segment, F_ADD_SEALS, SEAL_SHRINK | SEAL_GROW)
        self.map = mmap.mmap(segment, shm_size)
        view = memoryview(self.map)
        self.inbound, self.outbound = view[:self.half], view[self.half:]
        self.in_words, self.out_words = self.inbound[:HEADER].cast("I"), self.outbound[:HEADER].cast("I")
        self.capacity = self.half - HEADER
        self.in_words[CAPACITY] = self.out_words[CAPACITY] = self.capacity
        self.in_words[STDOUT_READ] = self.in_words[STDERR_READ] = start_counter
        self.counts = {1: start_counter, 2: start_counter}
        self.marks = dict(self.counts)
        self.to_host, worker_to_host = os.pipe()
        worker_wake, self.to_worker = os.pipe()
        worker_space, self.space = os.pipe()
        setup_fd = os.memfd_create("setup", os.MFD_CLOEXEC)
        os.write(setup_fd, b"".join(setup))
        os.lseek(setup_fd, 0, os.SEEK_SET)
        self.control, control = os.pipe()
        stdin_read, self.stdin = os.pipe()
        self.pipes, ends = {}, {}
        for fd in (1, 2):
            self.pipes[fd], ends[fd] = os.pipe()
            os.set_blocking(self.pipes[fd], False)
        wanted = [stdin_read, ends[1], ends[2], control, segment, worker_to_host, worker_wake, worker_space,
                  setup_fd]
        self.stdout, self.stderr, self.merged = bytearray(), bytearray(), bytearray()
        self.pending = []  # [stream, bytes] as they were read: among each other the pipes keep that order
        self.events, self.outputs = [], []
        self.continued = {1: bytearray(), 2: bytearray()}
        self.changed = threading.Condition()
        self.push_lock = threading.Lock()
        self.paused = threading.Event()
        self.status = None
        command = argv or [python, "-I", "-S", WORKER, "fd:3", "fd:4", str(shm_size)]
        self.cwd = cwd or tempfile.gettempdir()
        environment = {"POLICY_PATH": "/nowhere", "PYTHONUNBUFFERED": "1", "PATH": "/usr/bin:/bin", "HOME": "/tmp",
                       "LANG": "C.UTF-8", "TMPDIR": "/tmp"}
        self.pid = os.fork()
        if self.pid == 0:
            try:
                high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in wanted]
                for place, fd in enumerate(high):
                    os.dup2(fd, place)
                os.closerange(9, 200)
                os.chdir(self.cwd)
                libc.prctl(1, signal.SIGKILL)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                signal.signal(signal.SIGPIPE, signal.SIG_DFL)
                os.execve(command[0], command, environment)
            finally:
                os._exit(127)
        for fd in {*wanted}:
            os.close(fd)
        self.control_text = b""
        self.wake_read, self.wake_write = os.pipe()
        self.thread = threading.Thread(target=self._drain_loop, daemon=True)
        self.thread.start()

    # Draining

    def _drain_loop(self):
        poll = select.poll()
        sources = [self.to_host, self.control, self.pipes[1], self.pipes[2], self.wake_read]
        for fd in sources:
            poll.register(fd, select.POLLIN)
        open_pipes = {self.pipes[1], self.pipes[2]}
        control_open = True
        while open_pipes or control_open:
            ready = {fd for fd, _ in poll.poll(200)}
            if self.wake_read in ready:
                break
            if self.paused.is_set():
                time.sleep(0.01)
                continue
            if self.to_host in ready:
                if not os.read(self.to_host, 4096):
                    poll.unregister(self.to_host)
            if self.control in ready:
                text = os.read(self.control, 4096)
                if not text:
                    control_open = False
                    poll.unregister(self.control)
                with self.changed:
                    self.control_text += text
                    self.changed.notify_all()
            for fd in self.drain():
                if fd in open_pipes:
                    open_pipes.discard(fd)
                    poll.unregister(fd)

    def drain(self):
        """Pipes into `pending` first, then frames with their marks, then what is left of `pending`."""
        closed = self._read_pipes()
        with self.changed:
            while True:
                frame = self._pop()
                if frame is None:
                    break
                self._take(frame)
            self._emit_pending({1: 1 << 32, 2: 1 << 32})
            self.changed.notify_all()
        return closed

    def _read_pipes(self):
        closed = []
        for number, fd in self.pipes.items():
            while True:
                self.in_words[PIPE_SEQ] += 1
                try:
                    data = os.read(fd, 65536)
                except BlockingIOError:
                    data = None
                if data:
                    self.counts[number] = (self.counts[number] + len(data)) & 0xFFFFFFFF
                    self.in_words[STDOUT_READ if number == 1 else STDERR_READ] = self.counts[number]
                self.in_words[PIPE_SEQ] += 1
                if not data:
                    if data == b"":
                        closed.append(fd)
                    break
                self.pending.append([number, data])
        return closed

    def _pop(self):
        words, data, capacity = self.in_words, self.inbound[HEADER:], self.capacity
        head, tail = words[HEAD], words[TAIL]
        if head == tail:
            return None

        def copy(start, length):
            start %= capacity
            first = min(length, capacity - start)
            return bytes(data[start:start + first]) + bytes(data[:length - first])

        length = struct.unpack("<I", copy(head, 4))[0]
        used = (tail - head) % capacity
        assert 5 <= length <= used - 4, (length, used)
        frame = copy(head + 4, length)
        words[HEAD] = (head + 4 + length) % capacity
        if words[WRITER_WAITING]:
            words[WRITER_WAITING] = 0
            os.write(self.space, b"1")
        return frame

    def _take(self, frame):
        kind, req_id = struct.unpack("<BI", frame[:5])
        body = frame[5:]
        if kind == OUTPUT:
            stream = body[0]
            self._emit_to_marks(*struct.unpack("<II", body[1:9]))
            text = body[9:]
            text.decode("utf-8")
            number = stream & 0x7F
            self._emit(number, text)
            self.continued[number] += text
            if not stream & 0x80:
                self.outputs.append((number, bytes(self.continued[number])))
                self.continued[number].clear()
        elif kind == EXEC_START:
            self._emit_to_marks(*struct.unpack("<II", body[:8]))
            self.events.append(("start", req_id))
        elif kind == EXEC_END:
            stdout_at, stderr_at, code, how = struct.unpack("<IIiB", body[:13])
            self._emit_to_marks(stdout_at, stderr_at)
            self.events.append(("end", End(req_id, code, how, body[13:].decode("utf-8"))))
        elif kind == DENIED:
            size = body[1]
            self.events.append(("denied", (body[0], body[2:2 + size].decode(), body[2 + size:].decode())))
        else:
            self.events.append(("unknown", frame))

    def _emit_to_marks(self, stdout_at, stderr_at):
        due = {}
        for number, mark in ((1, stdout_at), (2, stderr_at)):
            behind = (mark - self.marks[number]) & 0xFFFFFFFF
            due[number] = behind if behind < 1 << 31 else 0
        due = self._emit_pending(due)
        if any(due.values()):
            # Written since the pipes were last read. The worker wrote it before the frame, so it is there.
            self._read_pipes()
            self._emit_pending(due)

    def _emit_pending(self, due):
        """Emits up to `due` bytes of each stream; what of it is not there yet."""
        due, left = dict(due), []
        for number, data in self.pending:
            now, later = data[:due[number]], data[due[number]:]
            due[number] -= len(now)
            self.marks[number] = (self.marks[number] + len(now)) & 0xFFFFFFFF
            self._emit(number, now)
            if later:
                left.append([number, later])
        self.pending = left
        return due

    def _emit(self, number, data):
        (self.stdout if number == 1 else self.stderr).extend(data)
        self.merged.extend(data)

    # Sending

    def push(self, kind, body=b"", req_id=0, deadline=10.0):
        payload = struct.pack("<BI", kind, req_id) + body
        frame = struct.pack("<I", len(payload)) + payload
        words, data, capacity = self.out_words, self.outbound[HEADER:], self.capacity
        end = time.monotonic() + deadline
        with self.push_lock:
            tail = words[TAIL]
            while (tail - words[HEAD]) % capacity + len(frame) >= capacity:
                if time.monotonic() > end:
                    raise TimeoutError("the worker does not read")
                time.sleep(0.001)
            first = min(len(frame), capacity - tail)
            data[tail:tail + first] = frame[:first]
            data[:len(frame) - first] = frame[first:]
            words[TAIL] = (tail + len(frame)) % capacity
        os.write(self.to_worker, b"1")

    def push_source(self, kind, source, prefix=b""):
        limit = self.capacity // 2 - 64
        while len(source) > limit:
            self.push(CODE_PART, source[:limit])
            source = source[limit:]
        self.push(kind, prefix + source)

    def wait(self, condition, timeout=10.0):
        end = time.monotonic() + timeout
        with self.changed:
            while not condition():
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"events {self.events[-5:]}, stdout {bytes(self.stdout[-500:])}, "
                                       f"stderr {bytes(self.stderr[-2000:])}")
                self.changed.wait(left)

    def ready(self, timeout=10.0):
        self.wait(lambda: b"READY\n" in self.control_text, timeout)
        return self

    def ends(self):
        return [value for kind, value in self.events if kind == "end"]

    def denials(self):
        return [value for kind, value in self.events if kind == "denied"]

    def execute(self, source, timeout=20.0):
        """Runs one CODE and returns its End."""
        count = len(self.ends())
        self.push_source(CODE, source.encode())
        self.wait(lambda: len(self.ends()) > count, timeout)
        return self.ends()[-1]

    def run(self, what, source, timeout=20.0):
        count = len(self.ends())
        data = source if isinstance(source, bytes) else os.fsencode(source)
        self.push_source(RUN, data, bytes((what,)))
        self.wait(lambda: len(self.ends()) > count, timeout)
        return self.ends()[-1]

    def shutdown(self, timeout=10.0):
        self.push(SHUTDOWN)
        return self.wait_exit(timeout)

    def wait_exit(self, timeout=10.0):
        end = time.monotonic() + timeout
        while self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = status
                break
            if time.monotonic() > end:
                raise TimeoutError("the worker does not end")
            time.sleep(0.002)
        self.thread.join(2)
        self.drain()
        return -os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else os.WEXITSTATUS(self.status)

    def interrupt(self):
        os.kill(self.pid, signal.SIGINT)

    def hold_back(self, held):
        """`interrupting`: a signal may be on its way."""
        self.in_words[INTERRUPTING] = int(held)

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.status = os.waitpid(self.pid, 0)[1]
        os.write(self.wake_write, b"x")
        self.thread.join(5)
        for fd in (self.to_host, self.control, self.to_worker, self.space, self.pipes[1], self.pipes[2], self.wake_read,
                   self.wake_write):
            os.close(fd)
        if self.stdin is not None:
            os.close(self.stdin)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def grants(read=(), write=(), masked=(), kept=(), allowed=0, argv=(), kernel=1):
    """Set-up records for a worker that may import its standard library and little else."""
    records = [record(5, bytes((kernel,))), record(6, bytes((allowed,)))]
    records += [record(1, item) for item in argv]
    records += [record(2, path) for path in (*runtime_prefixes(), *read)]
    records += [record(3, path) for path in ("/dev/null", *write)]
    return records + [record(7, path) for path in masked] + [record(12, path) for path in kept]


def runtime_prefixes(cache=[]):
    if not cache:
        code = "import sys,json; print(json.dumps([sys.base_prefix, sys.base_exec_prefix, sys.executable]))"
        found = json.loads(subprocess.run([PYTHON, "-I", "-S", "-c", code], stdout=subprocess.PIPE, check=True).stdout)
        library = [path for path in found if path != "/usr"] or []
        if "/usr" in found:
            library += ["/usr/lib/python3", "/usr/lib/python3.11", "/usr/lib/x86_64-linux-gnu", "/usr/bin/python3"]
        cache += library + ["/proc/self", "/dev/null", "/dev/urandom"]
    return cache
