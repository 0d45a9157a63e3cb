"""The Python harness: runs the code that the supervisor sends, inside the sandbox.

Started as `python3 -I -S worker.py fd:3 fd:4 <shm_size>`; docs/PROTOCOL.md is the contract. The kernel enforces the
policy: nothing in this file is a boundary, and user code may take all of it apart without gaining anything.

Every line and every import is paid at each start, before READY. What user code needs only later (traceback, linecache,
asyncio, site) is imported only then. `posix` is what `os` is made of, without the 2 ms of the rest of it.
"""

import _signal
import _thread
import atexit
import builtins
import fcntl
import io
import mmap
import posix
import sys
import time

CONTROL, SEGMENT, TO_HOST, TO_WORKER, SPACE, SETUP = 3, 4, 5, 6, 7, 8
STDOUT, STDERR = 1, 2

OUTPUT, EXEC_START, EXEC_END, DENIED = 0x40, 0x41, 0x42, 0x43
CODE, CODE_PART, RUN, SHUTDOWN = 0x20, 0x50, 0x52, 0x53
CONTINUES = 0x80
OK, EXCEPTION, EXIT, INTERRUPTED = 0, 1, 2, 3
READ, WRITE, NET, EXEC, ENV, FFI = 1, 2, 3, 4, 5, 6
RUN_FILE, RUN_COMMAND, RUN_STDIN = 0, 1, 2

HEADER = 64
HEAD, TAIL, CAPACITY, WRITER_WAITING, PIPE_SEQ, STDOUT_READ, STDERR_READ, INTERRUPTING, WATCHED = range(9)
U32 = 0xFFFFFFFF
FIONREAD = 0x541B

WORTH_A_WAKE = 4 << 10
LONGEST_TEXT = 16 << 20
LONGEST_ERROR = 16 << 10
SETTLE_SECONDS = 0.05
KEPT_SOURCES = 100
KNOWN_PATHS = 4096
KNOWN_NAMES = 4096
BROKEN_CHANNEL, USAGE = 70, 2

ONLY_AST, TOP_LEVEL_AWAIT, FUTURE_FLAGS, IS_COROUTINE = 0x400, 0x2000, 0x1FE0000, 0x80

# `[u8 type][u32 req_id][u8 stream]` of an OUTPUT frame, by stream; with both marks, all that it has besides its text.
LAST_OUTPUT = {stream: bytes((OUTPUT, 0, 0, 0, 0, stream)) for stream in (STDOUT, STDERR)}
OPEN_OUTPUT = {stream: bytes((OUTPUT, 0, 0, 0, 0, stream | CONTINUES)) for stream in (STDOUT, STDERR)}
OUTPUT_OVERHEAD = 14
NEWLINE = 10
# `[u32 length][u8 type]` of an EXEC_START.
START_HEAD = bytes((13, 0, 0, 0, EXEC_START))
OUTCOME_OK = bytes(5)

HARNESS = globals()


def u32(number):
    return number.to_bytes(4, "little")


def encode_frame(kind, req_id, *pieces):
    """A frame as it lies in the ring: `[u32 length][u8 type][u32 req_id][body]`."""
    length = 5 + sum(map(len, pieces))
    return b"".join((u32(length), bytes((kind,)), u32(req_id), *pieces))


def decode_path(path):
    """`os.fsdecode`; a TypeError for what is no path."""
    path = posix.fspath(path)
    return path if isinstance(path, str) else path.decode("utf-8", "surrogateescape")


def absolute(path):
    """`os.path.abspath`: by its letters alone."""
    if not path.startswith("/"):
        path = f"{posix.getcwd()}/{path}"
    parts = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part and part != ".":
            parts.append(part)
    return "/" + "/".join(parts)


def resolve(path, fd=-1):
    """`os.path.realpath` of a path that can be opened (`fd`, or for a moment), else the path as it is."""
    opened = -1
    try:
        if fd == -1:
            fd = opened = posix.open(path, posix.O_PATH | posix.O_CLOEXEC)
        return posix.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return path
    finally:
        if opened != -1:
            posix.close(opened)


def directory_of(path):
    return path.rpartition("/")[0] or path[:1]


def within(text, limit):
    """`text` as UTF-8 of at most `limit` bytes, cut between two characters."""
    return text.encode("utf-8", "backslashreplace")[:limit].decode("utf-8", "ignore").encode()


class Ring:
    """One half of the segment. Cursors are 32-bit views: one store each, so the peer never sees a torn one."""

    def __init__(self, half):
        self.words = half[:HEADER].cast("I")
        self.capacity = self.words[CAPACITY] or len(half) - HEADER
        self.data = half[HEADER:HEADER + self.capacity]


class WriterRing(Ring):
    def push(self, frame, wake=True):
        """Publishes one encoded frame by its last step, the store of `tail`: an exception before leaves no trace."""
        words, data, capacity = self.words, self.data, self.capacity
        tail, length = words[TAIL], len(frame)
        while (tail - words[HEAD]) % capacity + length >= capacity:
            words[WRITER_WAITING] = 1
            signal_host()
            if (tail - words[HEAD]) % capacity + length >= capacity:
                wait_on(SPACE)
        first = min(length, capacity - tail)
        if first == length:
            data[tail:tail + length] = frame
        else:
            view = memoryview(frame)
            data[tail:capacity] = view[:first]
            data[:length - first] = view[first:]
        words[TAIL] = (tail + length) % capacity
        if wake and not words[WATCHED]:
            signal_host()


class ReaderRing(Ring):
    def peek(self):
        """Waits for a frame and copies it out; it stays in the ring until `consume`."""
        words, capacity = self.words, self.capacity
        head = words[HEAD]
        while words[TAIL] == head:
            wait_on(TO_WORKER)
        length = int.from_bytes(self._copy(head, 4), "little")
        if not 5 <= length < capacity - 4:
            give_up()
        self.after = (head + 4 + length) % capacity
        return self._copy((head + 4) % capacity, length)

    def consume(self, wake=True):
        self.words[HEAD] = self.after
        if wake:
            signal_host()

    def _copy(self, start, length):
        end = start + length
        if end <= self.capacity:
            return bytes(self.data[start:end])
        return bytes(self.data[start:]) + bytes(self.data[:end - self.capacity])


def signal_host():
    try:
        posix.write(TO_HOST, b"1")
    except OSError:
        give_up()


def wait_on(pipe):
    try:
        if posix.read(pipe, 4096):
            return
    except OSError:
        pass
    give_up()


def give_up():
    """User code has closed or replaced our descriptors: without a channel there is nobody to tell but by exit code."""
    posix._exit(BROKEN_CHANNEL)


class Output:
    """All that this process prints, in order, each piece with its order marks.

    A piece that ends in no newline goes on in the next frame of its stream (CONTINUES), so that a `print` stays whole.
    It is in the ring at once, before anything that C code may write next; only the wake-up waits for the newline. The
    lock is re-entrant and `busy` tells the re-entrant case: what a signal handler or a `__del__` prints while we are
    at it goes to `late`.
    """

    def __init__(self, ring):
        self.ring = ring
        self.largest = max(64, ring.capacity // 4)
        self.pipes = {fd: identity(fd) for fd in (STDOUT, STDERR)}
        self.counter = bytearray(4)
        self.count = memoryview(self.counter).cast("I")
        self.in_child = False
        self.hooked = False
        self.grouped = None
        self._reset()

    def _reset(self):
        self.lock = _thread.RLock()
        self.busy = self.measuring = False
        self.late = []
        self.open_stream, self.open_size = 0, 0
        self.marks = self.encoded_marks = None

    def write(self, stream, data):
        """Takes valid UTF-8. The common case is one flat piece of code: after each pause every function costs anew."""
        with self.lock:
            if self.busy:
                # A user's audit hook that prints each event would print those of our own measuring, without end.
                if not (self.hooked and self.measuring):
                    self.late.append((stream, data))
                return
            self.busy = True
            try:
                size = len(data)
                if (self.in_child or self.grouped is not None or size > self.largest
                        or self.open_stream != stream and (self.open_stream or identity(stream) != self.pipes[stream])):
                    self._write_slowly(stream, data)
                else:
                    self._measure()
                    if data[-1] == NEWLINE or self.open_size + size >= LONGEST_TEXT:
                        self.open_stream = self.open_size = 0
                        head, wake = LAST_OUTPUT[stream], True
                    else:
                        self.open_stream = stream
                        self.open_size += size
                        head, wake = OPEN_OUTPUT[stream], size >= WORTH_A_WAKE
                    size = (OUTPUT_OVERHEAD + size).to_bytes(4, "little")
                    self.ring.push(b"%b%b%b%b" % (size, head, self.encoded_marks, data), wake)
                    if wake and self.ring.words[WATCHED]:
                        posix.sched_yield()  # to who watches: a processor wakes its own threads the soonest
                if self.late:
                    self._write_late()
            finally:
                self.busy = False
        if session.interrupt_pending:
            session.deliver_interrupt()

    def write_raw(self, stream, data):
        """Takes any bytes. What is not UTF-8 goes through the pipe, which keeps every byte."""
        self._exclusively(self._write_pipe, stream, data)

    def flush(self):
        if self.open_stream or self.late:
            self._exclusively(lambda: None)

    def send(self, kind, req_id, *pieces):
        """Sends a frame that is not output."""
        if self.busy and self.lock._is_owned():
            self.late.append((0, encode_frame(kind, req_id, *pieces)))
        else:
            self._exclusively(lambda: self.ring.push(encode_frame(kind, req_id, *pieces)))

    def start(self, number):
        """The news of an execution. What the pipes carry before its first output is no part of it: the marks may be old."""
        self._exclusively(self._push_start, number)

    def _push_start(self, number):
        if self.marks is None:
            self._measure()
        self.ring.push(b"%b%b%b" % (START_HEAD, u32(number), self.encoded_marks))

    def end(self, number, outcome):
        """The end of an execution, whose outcome is encoded already."""
        self._exclusively(self._push_end, number, outcome)

    def _push_end(self, number, outcome):
        self._measure()
        self.ring.push(encode_frame(EXEC_END, number, self.encoded_marks, outcome), wake=False)
        signal_host()  # watched or not

    def _exclusively(self, action, *args):
        """Runs `action` after the text that is open; not at all in the re-entrant case, where nothing may be moved."""
        with self.lock:
            if self.busy:
                return
            self.busy = True
            try:
                if self.open_stream:
                    self._push_text(self.open_stream, False, b"")
                action(*args)
                if self.late:
                    self._write_late()
            finally:
                self.busy = False
        if session.interrupt_pending:
            session.deliver_interrupt()

    def _write_slowly(self, stream, data):
        if not self.in_child:
            self._measure()
        self._write_text(stream, data)

    def _write_late(self):
        while self.late:
            stream, data = self.late.pop(0)
            if stream:
                self._write_text(stream, data)
            elif not self.in_child:
                self.ring.push(data)

    def _write_text(self, stream, data):
        if self.open_stream != stream:
            if self.open_stream:
                self._push_text(self.open_stream, False, b"")
            if self.in_child or identity(stream) != self.pipes[stream]:
                # Not our pipe any more: the user has put a file there, and there the text belongs.
                self._write_pipe(stream, data)
                return
        if self.grouped is not None:
            self.grouped.append(data)
        goes_on = self.grouped is not None or data[-1:] != b"\n"
        size, largest = len(data), self.largest
        if size <= largest:
            self._push_text(stream, goes_on, data)
            return
        position, view = 0, memoryview(data)
        while position < size:
            stop = position + largest
            if stop < size:
                while data[stop] & 0xC0 == 0x80:
                    stop -= 1
            self._push_text(stream, stop < size or goes_on, view[position:stop])
            position = stop

    def _push_text(self, stream, more, text):
        size = len(text)
        if more and self.open_size + size < LONGEST_TEXT:
            self.open_stream = stream
            self.open_size += size
            head, wake = OPEN_OUTPUT[stream], size >= WORTH_A_WAKE
        else:
            self.open_stream = self.open_size = 0
            head, wake = LAST_OUTPUT[stream], True
        self.ring.push(b"".join((u32(OUTPUT_OVERHEAD + size), head, self.encoded_marks, text)), wake)

    def _measure(self):
        """Takes the order marks: the bytes ever written to each pipe, read by the supervisor or still in there."""
        words, count, counter, ioctl = self.ring.words, self.count, self.counter, fcntl.ioctl
        self.measuring = True
        for _ in range(1000):
            seq = words[PIPE_SEQ]
            try:
                ioctl(STDOUT, FIONREAD, counter)
                stdout_at = words[STDOUT_READ] + count[0]
                ioctl(STDERR, FIONREAD, counter)
                marks = stdout_at, words[STDERR_READ] + count[0]
            except OSError:
                marks = self._marks_of_what_is_left()
            if not seq & 1 and seq == words[PIPE_SEQ]:
                break
            posix.sched_yield()
        self.measuring = False
        if marks != self.marks:
            self.marks = marks
            self.encoded_marks = u32(marks[0] & U32) + u32(marks[1] & U32)

    def _marks_of_what_is_left(self):
        """The marks after the user has closed descriptor 1 or 2."""
        words = self.ring.words
        return words[STDOUT_READ] + self._unread(STDOUT), words[STDERR_READ] + self._unread(STDERR)

    def _unread(self, fd):
        try:
            fcntl.ioctl(fd, FIONREAD, self.counter)
            return self.count[0]
        except OSError:
            return 0

    def _write_pipe(self, stream, data):
        """Writes to the descriptor itself, once the other pipe is empty: nobody could tell the order otherwise."""
        other = STDERR if stream == STDOUT else STDOUT
        deadline = 0.0
        while identity(other) == self.pipes[other] and self._unread(other):
            now = time.monotonic()
            deadline = deadline or now + SETTLE_SECONDS
            if now > deadline:
                break
            posix.sched_yield()
        view = memoryview(data)
        while view:
            view = view[posix.write(stream, view):]

    def before_fork(self):
        self.flush()
        self.lock.acquire()

    def after_fork_in_parent(self):
        self.lock.release()

    def after_fork_in_child(self):
        """The ring has one producer, and it is not this process: from here on the pipes carry our text."""
        self.in_child = True
        self._reset()
        for fd in range(CONTROL, SETUP):
            try:
                posix.close(fd)
            except OSError:
                pass


def identity(fd):
    try:
        stat = posix.fstat(fd)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def is_utf8(data):
    try:
        str(data, "utf-8")
    except UnicodeDecodeError:
        return False
    return True


class OutputFile(io.FileIO):
    """Descriptor 1 or 2 as `sys.stdout.buffer`, beneath Python's own text layer, as under `python3 -u`."""

    def __init__(self, stream):
        super().__init__(stream, "w", closefd=False)
        self.stream = stream

    def write(self, data):
        if type(data) is not bytes:
            data = bytes(memoryview(data))
        if self.closed:
            raise ValueError("I/O operation on closed file")
        if data.isascii() or is_utf8(data):
            if data:
                output.write(self.stream, data)
        else:
            output.write_raw(self.stream, data)
        return len(data)

    def flush(self):
        super().flush()
        output.flush()


class StdinFile(io.FileIO):
    """Descriptor 0. Who waits for an answer wants the question to be seen."""

    def readinto(self, buffer):
        output.flush()
        return super().readinto(buffer)

    def readall(self):
        output.flush()
        return super().readall()


class NotCapable(PermissionError):
    """What the policy denies, in words; a `PermissionError` like the kernel's own."""

    def __init__(self, permission, value, filename=None):
        flag = {"exec": "run"}.get(permission, permission)
        message = f'Requires {flag} access to "{value}", run again with --allow-{flag}={value}'
        super().__init__(13, message, filename)
        self.permission, self.value = flag, value

    def __str__(self):
        return self.strerror

    def __reduce__(self):
        return NotCapable, (self.permission, self.value, self.filename)


# A user's `except NotCapable` needs no import, and its traceback line no module name.
NotCapable.__module__ = "builtins"
builtins.NotCapable = NotCapable


class Policy:
    """What the set-up records grant, and the audit hook that puts denials into words.

    A path under a granted prefix is left to the kernel. For a read the kernel is asked too before we say no, as
    symbolic links and the sandbox's own directories make more readable than the prefixes say.

    Code of the standard library that looks for files of the system (mimetypes, ssl, uuid, platform) expects plain
    errors and is not the user's wish: unless only the modules of WRAPPERS stand between user code and the call, the
    kernel answers. So it does for the import system's probing, whoever caused it.
    """

    WRAPPERS = frozenset((
        "os", "posixpath", "genericpath", "pathlib", "shutil", "tempfile", "glob", "io", "_pyio", "codecs", "tokenize",
        "fileinput", "runpy", "subprocess", "asyncio", "concurrent", "multiprocessing", "threading", "contextlib",
        "pty"))
    PROBING = frozenset((
        "importlib", "_frozen_importlib", "_frozen_importlib_external", "zipimport", "linecache", "traceback", "site",
        "pkgutil"))
    SYSTEM = ("/etc/", "/usr/", "/proc/", "/sys/", "/run/", "/var/", "/lib/", "/lib64/", "/bin/", "/sbin/", "/dev/")
    OWN_HOSTS = ("", "localhost", "sandbox", "::", "::1", "0.0.0.0", "169.254.1.1", "169.254.1.2")

    def __init__(self, records):
        self.argv = [decode_path(value) for tag, value in records if tag == 1]
        self.readable, self.writable, masked, kept = (
            tuple(decode_path(value).rstrip("/") + "/" for tag, value in records if tag == wanted)
            for wanted in (2, 3, 7, 12))
        self.masked = {READ: masked, WRITE: masked + kept}
        self.stand_ins = frozenset(decode_path(value) for tag, value in records if tag == 8)
        self.programs = frozenset(decode_path(value) for tag, value in records if tag == 13)
        self.kernel = any(tag == 5 and value[0] & 1 for tag, value in records)
        self.learns = any(tag == 5 and value[0] & 2 for tag, value in records)
        allowed = 0
        for tag, value in records:
            allowed |= value[0] if tag == 6 else 0
        self.reaches_network = self.kernel and bool(allowed & 4)
        self.granted = {READ: self.readable, WRITE: self.writable}
        self.everything = {READ: allowed & 1, WRITE: allowed & 2}
        self.known = set()  # paths that may be read, and directories all of which may be
        self.library = directory_of(io.__file__) + "/"
        self.checks = {"sys.addaudithook": self.notice_hook}
        if self.masked[WRITE] or not (allowed & 1 and allowed & 2):
            self.checks.update({
                "open": self.check_open, "os.listdir": self.check_list, "os.scandir": self.check_list,
                "os.rename": self.check_two, "os.link": self.check_two, "os.symlink": self.check_symlink})
            for event in ("mkdir", "remove", "rmdir", "truncate", "chmod", "chown", "utime"):
                self.checks["os." + event] = self.check_write
        if not allowed & 4:
            self.checks.update({
                "socket.connect": self.check_address, "socket.sendto": self.check_address,
                "socket.sendmsg": self.check_address, "socket.getaddrinfo": self.check_name,
                "socket.gethostbyname": self.check_name})
        if not allowed & 8:
            for event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"):
                self.checks[event] = self.check_exec
        if self.kernel:
            self.checks["ctypes.dlopen"] = self.check_load

        if self.learns:
            self.checks.update({"os.listdir": self.tell_of_listing, "os.scandir": self.tell_of_listing})

    def tell_of_listing(self, event, args):
        try:
            path = absolute(decode_path(args[0] if args[0] is not None else "."))
        except (TypeError, ValueError, OSError):
            return
        if self.asked_by_user(path):
            report_denied(READ, event[3:], path)

    def notice_hook(self, event, args):
        output.hooked = True

    def check_open(self, event, args):
        path, _, flags = args
        if type(path) is str and not flags & 0o3103 and (directory_of(path) in self.known or path in self.known):
            return
        if flags & 0o3 != posix.O_WRONLY:
            self.require(READ, "open", path)
        if flags & (posix.O_WRONLY | posix.O_RDWR | posix.O_CREAT | posix.O_TRUNC | posix.O_APPEND):
            self.require(WRITE, "open", path)

    def check_list(self, event, args):
        self.require(READ, event[3:], args[0] if args[0] is not None else ".")

    def check_write(self, event, args):
        self.require(WRITE, event[3:], args[0], args[-1] if event in self.WITH_DIR_FD else -1)

    WITH_DIR_FD = ("os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.chown", "os.utime")

    def check_two(self, event, args):
        source, target, source_dir, target_dir = args
        self.require(READ if event == "os.link" else WRITE, event[3:], source, source_dir)
        self.require(WRITE, event[3:], target, target_dir)

    def check_symlink(self, event, args):
        self.require(WRITE, "symlink", args[1], args[2])

    def require(self, kind, operation, path, dir_fd=-1):
        try:
            shown = decode_path(path)
            if dir_fd != -1 and not shown.startswith("/") or shown[:1] == "<":
                return  # relative to what we do not know, or the "<unknown>" that the parser looks for
            shown = absolute(shown)
        except (TypeError, ValueError, OSError):
            return  # a descriptor, or nothing that a path could be: the call itself will say so
        resolved = shown if self.kernel else resolve(shown)
        if self.covers(kind, resolved):
            if kind == READ and self.kernel and type(path) is str and path.startswith("/") and not self.masked[READ]:
                if len(self.known) >= KNOWN_PATHS:
                    self.known.clear()
                directory = directory_of(path)
                self.known.add(directory if self.covers(READ, absolute(directory)) else path)
            return
        if not self.asked_by_user(shown):
            if not self.kernel:
                raise FileNotFoundError(2, posix.strerror(2), path)
            return
        if kind == READ and self.kernel and shown not in self.stand_ins:
            try:
                posix.close(posix.open(shown, posix.O_RDONLY | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC))
                return
            except OSError:
                pass
        self.deny(kind, operation, shown, shown)

    def covers(self, kind, path):
        path += "/"
        if path.startswith(self.masked[kind]):
            return False
        return self.everything[kind] or path.startswith(self.granted[kind])

    def asked_by_user(self, path):
        frame = sys._getframe()
        while frame.f_code is not audit.__code__:
            frame = frame.f_back
        frame = frame.f_back
        direct = True
        while frame is not None:
            name, filename = frame.f_globals.get("__name__"), frame.f_code.co_filename
            top = name.partition(".")[0] if isinstance(name, str) else ""
            if top in self.PROBING or frame.f_globals is HARNESS:
                return False
            if not filename.startswith("<frozen ") and (
                    not filename.startswith(self.library) or "-packages/" in filename):
                break
            direct = direct and top in self.WRAPPERS
            frame = frame.f_back
        return direct or not (path + "/").startswith(self.SYSTEM)

    def check_address(self, event, args):
        address = args[1]
        if type(address) is tuple and len(address) >= 2:
            self.require_host(event[7:], address[0], address[1])

    def check_name(self, event, args):
        host = args[0]
        if isinstance(host, (bytes, bytearray)):
            host = host.decode("ascii", "replace")
        # A numeric address needs no resolver, and so no right.
        if isinstance(host, str) and ":" not in host and host.strip("0123456789.") and host != posix.uname().nodename:
            self.require_host(event[7:], host, args[1] if len(args) > 1 else None)

    def require_host(self, operation, host, port):
        if not isinstance(host, str) or host in self.OWN_HOSTS or host.startswith("127."):
            return
        shown = f"[{host}]" if ":" in host else host
        self.deny(NET, operation, f"{shown}:{port}" if port else shown)

    def check_exec(self, event, args):
        program = args[0]
        if event == "os.system":
            program = "sh"
        elif event == "subprocess.Popen" and not program:
            program = args[1][0] if isinstance(args[1], (list, tuple)) else args[1]
        if self.programs and self.may_run(decode_path(program), args[3] if event == "subprocess.Popen" else None):
            return  # the kernel decides, by what is found then
        if self.asked_by_user("/usr/"):
            self.deny(EXEC, event.rpartition(".")[2] if event != "subprocess.Popen" else "exec", decode_path(program))

    def may_run(self, program, env):
        """Whether an allowed program goes by that name, on PATH where it is a command."""
        dirs = [""] if "/" in program else sys.modules["os"].get_exec_path(env)
        return any(resolve(absolute(f"{decode_path(place)}/{program}" if place else program)) in self.programs
                   for place in dirs)

    def check_load(self, event, args):
        try:
            name = decode_path(args[0])
            if "/" in name and posix.statvfs(name).f_flag & posix.ST_NOEXEC:
                path = absolute(name)
            else:
                return  # one that the loader looks for, or that may be mapped as code
        except (TypeError, ValueError, OSError):
            return  # no name, or nothing there: the loader will say so
        if self.asked_by_user(path):
            self.deny(FFI, "dlopen", path, path)

    def deny(self, kind, operation, value, filename=None):
        report_denied(kind, operation, value)
        raise NotCapable({READ: "read", WRITE: "write", NET: "net", EXEC: "exec", FFI: "ffi"}[kind], value, filename)


def audit(event, args):
    """The audit hook, called for every event there is. (A plain function costs a third of a bound method here.)"""
    check = policy.checks.get(event)
    if check is not None and sys._getframe(1).f_globals is not HARNESS:
        check(event, args)


def report_denied(kind, operation, target):
    if not output.in_child:
        name = operation.encode()
        room = min(LONGEST_ERROR, output.largest - len(name))
        output.send(DENIED, 0, bytes((kind, len(name))), name, within(target, room))


class Variables(dict):
    """What `os.environ` keeps its variables in. Tells of those that user code asks for and that are not there, as the policy
    may have kept them away; where a policy is learned, of those that are.
    """

    def __missing__(self, key):
        if not policy.learns and self.asked_by_user():
            report_denied(ENV, "getenv", decode_path(key))
        raise KeyError(key)

    @staticmethod
    def asked_by_user():
        frame = sys._getframe(2)
        while frame is not None and frame.f_globals.get("__name__") in ("os", "collections.abc"):
            frame = frame.f_back
        if frame is None or frame.f_globals.get("__name__") in policy.PROBING:
            return False
        filename = frame.f_code.co_filename
        return not filename.startswith(("<frozen ", policy.library)) or "-packages/" in filename


class LearnedVariables(Variables):
    """Whoever copies all of them, as for a child process, asks for none."""

    copied = iter(())

    def __iter__(self):
        names = list(super().__iter__())
        self.copied = iter(names)
        return iter(names)

    def __getitem__(self, key):
        value = super().__getitem__(key)
        if key != next(self.copied, None):
            self.copied = iter(())
            report_denied(ENV, "getenv", decode_path(key))
        return value


def tell_of_variables(module):
    """For `os`, of which both views share what they keep the variables in."""
    variables = (LearnedVariables if policy.learns else Variables)(module.environ._data)
    module.environ._data = variables
    if module.supports_bytes_environ:
        module.environb._data = variables


class PatchedLoader:
    """A loader that lets us touch up a module once it has been executed."""

    def __init__(self, loader, patch):
        self.loader, self.patch = loader, patch

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        self.patch(module)


class LazyModules:
    """A meta path finder, first in line, for the few modules that must know of us when they are first imported."""

    def __init__(self):
        self.patches = {"linecache": self.linecache, "importlib.metadata": load_site, "pkgutil": load_site,
                        "site": load_site, "os": tell_of_variables}
        if policy.reaches_network:
            self.patches["socket"] = put_refusals_into_words
        if sys.version_info >= (3, 14):
            self.patches["multiprocessing.context"] = self.multiprocessing
        if sys.version_info >= (3, 15):
            self.patches["traceback"] = self.traceback

    def find_spec(self, name, path=None, target=None):
        patch = self.patches.pop(name, None)
        if patch is None:
            return None
        spec = find_spec_after(self, name, path, target)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = PatchedLoader(spec.loader, patch)
        return spec

    def linecache(self, module):
        for name in session.sources:
            session.show_source(name, module)

    def traceback(self, module):
        # It advises whoever misses a module to do without our -S.
        module.sys = Changed(sys, flags=Changed(sys.flags, no_site=0))

    def multiprocessing(self, module):
        # The default of 3.14, forkserver, needs exec.
        module._default_context = module.DefaultContext(module._concrete_contexts["fork"])


class LazySite:
    """A meta path finder, last in line: a module that nobody has found may be in site-packages, which -S left out."""

    # What asyncio, subprocess, shutil, platform and others try to import, to see whether this is Windows.
    NEVER_HERE = frozenset(("_winapi", "_wmi", "msvcrt", "nt", "winreg"))

    def find_spec(self, name, path=None, target=None):
        if path is not None or name in self.NEVER_HERE or name == "org" and self.pickle_looks_for_jython():
            return None
        if not load_site():
            return None
        return find_spec_after(None, name, path, target)

    def pickle_looks_for_jython(self):
        """Up to Python 3.11. Anybody else means a package of that name."""
        return getattr(getattr(sys.modules.get("pickle"), "__spec__", None), "_initializing", False)


def put_refusals_into_words(module):
    """Who may not be reached the kernel refuses with an errno and by address; the user asked for a name."""
    names = {}
    look_up, connect_plainly = module.getaddrinfo, module._socket.socket.connect

    def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
        found = look_up(host, port, family, type, proto, flags)
        if isinstance(host, str) and found:
            if len(names) >= KNOWN_NAMES:
                names.clear()
            names.update((entry[4][0], host) for entry in found)
        return found

    def connect(self, address):
        try:
            return connect_plainly(self, address)
        except PermissionError:
            is_stream = self.type & 0xF == module.SOCK_STREAM  # datagrams have no flag
            if not (is_stream and isinstance(address, tuple) and len(address) >= 2):
                raise
            host, port = names.get(address[0], address[0]), address[1]
        raise NotCapable("net", f"[{host}]:{port}" if ":" in host else f"{host}:{port}")

    for wrapper, original in ((getaddrinfo, look_up), (connect, connect_plainly)):
        wrapper.__doc__, wrapper.__wrapped__ = original.__doc__, original
    module.getaddrinfo, module.socket.connect = getaddrinfo, connect


def find_spec_after(me, name, path, target):
    for finder in list(sys.meta_path):
        if finder is not me and hasattr(finder, "find_spec"):
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
    return None


def load_site(_module=None):
    """What Python does at its start without -S; whether that was still to be done."""
    if lazy_site not in sys.meta_path:
        return False
    sys.meta_path.remove(lazy_site)
    # site makes every entry absolute, but the one of the script is not there yet when Python calls it.
    first = sys.path[:1] if sys.path[:1] == [session.script_dir] else []
    del sys.path[:len(first)]
    kept = {name: getattr(builtins, name) for name in SITE_BUILTINS if hasattr(builtins, name)}
    try:
        import site
        if sys.version_info < (3, 14):
            # It derives them from sys.prefix, which is not yet the environment's when Python calls it.
            site.PREFIXES = [sys.base_prefix, sys.base_exec_prefix]
        site.main()
    finally:
        sys.path[:0] = first
        vars(builtins).update(kept)
    return True


def enter_environment():
    """Gives a virtual environment its `sys.prefix`, which Python before 3.14 leaves to site."""
    directory = directory_of(absolute(sys.executable))
    prefix = directory_of(directory)
    for place in (directory, prefix):
        try:
            posix.stat(place + "/pyvenv.cfg")
        except OSError:
            continue
        sys.prefix = sys.exec_prefix = prefix
        return


class Changed:
    """`real`, save for some attributes."""

    def __init__(self, real, **changed):
        vars(self).update(changed, real=real)

    def __getattr__(self, name):
        return getattr(vars(self)["real"], name)


class SiteBuiltin:
    """`help`, `copyright` and their like, made by site when they are first used."""

    def __init__(self, name):
        self.name = name

    def _real(self):
        import _sitebuiltins
        if self.name == "help":
            return _sitebuiltins._Helper()
        if self.name == "license":
            return _sitebuiltins._Printer("license", "See https://www.python.org/psf/license/")
        return _sitebuiltins._Printer(self.name, sys.copyright if self.name == "copyright" else "See www.python.org.")

    def __call__(self, *args, **kwds):
        return self._real()(*args, **kwds)

    def __repr__(self):
        return repr(self._real())


class Quitter:
    """`exit` and `quit`. Unlike site's they leave `sys.stdin` open: the session goes on."""

    def __init__(self, name):
        self.name = name

    def __call__(self, code=None):
        raise SystemExit(code)

    def __repr__(self):
        return f"Use {self.name}() or Ctrl-D (i.e. EOF) to exit"


SITE_BUILTINS = ("exit", "quit", "help", "copyright", "credits", "license")


class Session:
    """What lasts from one execution to the next."""

    def __init__(self, argv):
        self.argv = argv
        self.main = type(sys)("__main__")
        self.main.__builtins__ = builtins
        sys.modules["__main__"] = self.main
        self.namespace = vars(self.main)
        self.number = 0
        self.parts = []
        self.sources = {}
        self.loop = None
        self.script_dir = None
        self.main_thread = _thread.get_ident()
        self.starting = self.running = False
        self.interrupt_pending = False

    # Interrupts

    def on_interrupt(self, signum, frame):
        """SIGINT: a KeyboardInterrupt for user code, never one for the harness, which would lose its place."""
        if not self.running:
            # The supervisor may have read of the start before we get to the user's code.
            self.interrupt_pending = self.starting
            return
        while frame is not None:
            if frame.f_code in UNINTERRUPTIBLE:
                self.interrupt_pending = True
                return
            frame = frame.f_back
        raise KeyboardInterrupt

    def deliver_interrupt(self):
        if self.running and _thread.get_ident() == self.main_thread and not output.busy:
            self.interrupt_pending = False
            raise KeyboardInterrupt

    # Executions

    def execute(self, task, *args):
        """Runs one execution between its EXEC_START and its EXEC_END, whatever happens in it."""
        self.number += 1
        inbox.consume(wake=False)  # the frame behind it wakes the supervisor
        self.interrupt_pending = False
        self.starting = True
        output.start(self.number)
        outcome = None
        try:
            self.running = True
            self.starting = False
            outcome = self.attempt(task, *args)
            flush_user_streams()
            self.running = False
        except BaseException as error:
            # Interrupted before the first line, or once more while the traceback of an exception was being printed.
            self.running = False
            how = (130, INTERRUPTED) if isinstance(error, KeyboardInterrupt) else (1, EXCEPTION)
            outcome = outcome or (*how, brief(error))
        if output.in_child:
            # A forked child has come to the end of its code; it has no supervisor to report to.
            self.running = True
            sys.exit(outcome[0])
        code, how, text = outcome
        if how == OK:
            encoded = OUTCOME_OK
        else:
            error = within(text, min(LONGEST_ERROR, output.largest)) if how in (EXCEPTION, INTERRUPTED) else b""
            encoded = code.to_bytes(4, "little", signed=True) + bytes((how,)) + error
        output.end(self.number, encoded)

    def attempt(self, task, *args):
        try:
            if self.interrupt_pending:
                self.deliver_interrupt()
            refused = task(*args)
            return refused or (0, OK, "")
        except BaseException as error:
            failure = error
        try:
            return self.report(failure)
        finally:
            del failure

    STATEMENTS = frozenset((
        "import", "from", "del", "raise", "assert", "pass", "for", "while", "if", "with", "def", "class", "try", "global"))

    def run_code(self, source):
        """A CODE: a cell of a notebook, whose last expression is shown and where `await` works."""
        name = f"<code-{self.number}>"
        sources, linecache = self.sources, sys.modules.get("linecache")
        sources[name] = source
        if len(sources) > KEPT_SOURCES:
            oldest = next(iter(sources))
            del sources[oldest]
            if linecache is not None:
                linecache.cache.pop(oldest, None)
        if linecache is not None:
            self.show_source(name, linecache)
        if self.script_dir != "":
            self.prepare("", ["", *self.argv])
        if "\n" not in source and "=" not in source and "await" not in source \
                and source.partition(" ")[0] not in self.STATEMENTS:
            # An expression, most likely: one step, where the way by a tree takes three.
            try:
                code = compile(source, name, "eval", 0, True)
            except (SyntaxError, RecursionError):
                pass
            else:
                sys.displayhook(eval(code, self.namespace))
                return
        last = None
        import _ast  # takes a millisecond, the first time
        try:
            tree = compile(source, name, "exec", ONLY_AST | TOP_LEVEL_AWAIT, True)
            if tree.body and isinstance(tree.body[-1], _ast.Expr):
                last = tree.body.pop()
            code = compile(tree, name, "exec", TOP_LEVEL_AWAIT, True) if tree.body else None
            if last is not None:
                flags = TOP_LEVEL_AWAIT | (code.co_flags & FUTURE_FLAGS if code else 0)
                last = compile(_ast.Interactive([last]), name, "single", flags, True)
        except RecursionError:
            # Trees have a lower limit than sources. The value of the last expression is then not shown.
            code, last = compile(source, name, "exec", TOP_LEVEL_AWAIT, True), None
        if code is not None:
            self.evaluate(code)
        if last is not None:
            self.evaluate(last)

    def evaluate(self, code):
        value = eval(code, self.namespace)
        if code.co_flags & IS_COROUTINE:
            self.run_coroutine(value)

    def run_coroutine(self, coroutine):
        import asyncio
        if self.loop is None or self.loop.is_closed():
            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)
        task = self.loop.create_task(coroutine)
        try:
            self.loop.run_until_complete(task)
        except KeyboardInterrupt:
            if not task.done():
                task.cancel()
                try:
                    self.loop.run_until_complete(task)
                except asyncio.CancelledError:
                    pass
            raise

    def run_file(self, path):
        path, given = absolute(path), path
        try:
            with io.FileIO(path) as file:
                source = file.readall()
                directory = directory_of(resolve(path, file.fileno()))
        except OSError as error:
            text = f"can't open file {path!r}: [Errno {error.errno}] {error.strerror}"
            write_stderr(f"{sys.executable}: {text}\n")
            return 2, EXCEPTION, text
        self.prepare(directory, [given, *self.argv])
        self.main.__file__, self.main.__cached__ = path, None
        self.main.__loader__ = sys.modules["_frozen_importlib_external"].SourceFileLoader("__main__", path)
        exec(compile(source, path, "exec", 0, True), self.namespace)

    def run_text(self, source, name, argv0):
        self.prepare("", [argv0, *self.argv])
        if sys.version_info >= (3, 13) and isinstance(source, str):
            self.sources[name] = source  # since 3.13 a traceback shows the source of -c
        exec(compile(source, name, "exec", 0, True), self.namespace)

    def prepare(self, directory, argv):
        sys.argv = argv
        if self.script_dir is not None and sys.path[:1] == [self.script_dir]:
            sys.path[0] = directory
        else:
            sys.path.insert(0, directory)
        self.script_dir = directory

    def show_source(self, name, linecache):
        if linecache is not None:
            source = self.sources[name]
            linecache.cache[name] = len(source), None, [line + "\n" for line in source.splitlines()], name

    def finish(self):
        """Drops the user's globals in Python's own order, as long as there is a ring for what finalizers print."""
        for hidden in (True, False):
            for name in list(self.namespace):
                if isinstance(name, str) and (name[:1] == "_" != name[1:2]) is hidden and name != "__builtins__":
                    self.namespace[name] = None
        output.flush()

    # What went wrong

    def report(self, error):
        """Prints what plain Python prints for an exception that nobody caught; the execution's outcome."""
        if isinstance(error, SystemExit):
            return self.report_exit(error)
        interrupted = isinstance(error, KeyboardInterrupt)
        outcome = (130, INTERRUPTED) if interrupted else (1, EXCEPTION)
        text = brief(error)
        strip(error, self.namespace)
        try:
            sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
            sys.last_exc = error
            output.grouped = shown = []
            hook = getattr(sys, "excepthook", sys.__excepthook__)
            if hook is sys.__excepthook__:
                self.display(error)
                text = with_suggestion(text, b"".join(shown))
            else:
                hook(type(error), error, error.__traceback__)
        except SystemExit as leaving:
            return self.report_exit(leaving)
        except BaseException as second:
            write_stderr(f"{brief(second)} (while printing)\n{text}\n")
        finally:
            output.grouped = None
        self.explain_missing_module(error)
        return (*outcome, text)

    def display(self, error):
        """Prints through Python's own printer, except that it does not know the sources of our cells."""
        if self.sources:
            import linecache
            import traceback
            if isinstance(error, SyntaxError) and error.text is None and error.filename in self.sources:
                error.text = linecache.getline(error.filename, error.lineno or 0) or None
            if sys.version_info < (3, 13):
                write_stderr("".join(traceback.format_exception(type(error), error, error.__traceback__)))
                return
        sys.__excepthook__(type(error), error, error.__traceback__)

    def report_exit(self, error):
        code = error.code
        if code is None:
            return 0, EXIT, ""
        if isinstance(code, int):
            return code & 0xFF if -1 << 63 <= code < 1 << 63 else 255, EXIT, ""
        try:
            write_stderr(f"{code}\n")
        except BaseException:
            pass
        return 1, EXIT, ""

    def explain_missing_module(self, error):
        missing = isinstance(error, ModuleNotFoundError) and error.name
        if not (missing and self.script_dir and "__file__" in self.namespace):
            return
        name = error.name.partition(".")[0]
        known = getattr(sys, "stdlib_module_names", sys.builtin_module_names)
        if name in known or name in sys.modules or policy.covers(READ, self.script_dir):
            return
        write_stderr(f'Requires read access to "{self.script_dir}" to import modules beside the script, '
                     f"run again with --allow-read={self.script_dir}\n")
        report_denied(READ, "import", self.script_dir)


def brief(error):
    """The last line of the traceback: `ValueError: x`."""
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ not in ("builtins", "__main__"):
        name = f"{kind.__module__}.{name}"
    try:
        text = error.msg if isinstance(error, SyntaxError) and error.msg else str(error)
    except BaseException:
        text = "<exception str() failed>"
    return f"{name}: {text}" if text else name


def with_suggestion(text, shown):
    """`text` with the `Did you mean` that only Python's printer can work out."""
    for line in shown.decode("utf-8", "replace").splitlines():
        if line.startswith((text + ". Did you", text + "? Did you")):
            return line
    return text


def strip(error, namespace=None):
    """Takes our own frames out of an exception's tracebacks, and of those chained to it."""
    stack, seen = [error], set()
    while stack:
        error = stack.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        head = without_ours(error.__traceback__)
        inner = head
        while inner is not None:
            inner.tb_next = without_ours(inner.tb_next)
            inner = inner.tb_next
        # Above the user's first frame stands what runs it, such as asyncio for a top-level `await`.
        inner = head
        while namespace is not None and inner is not None and inner.tb_frame.f_globals is not namespace:
            inner = inner.tb_next
        error.__traceback__ = inner or head
        stack += [error.__cause__, error.__context__]
        nested = getattr(error, "exceptions", None)
        if isinstance(nested, tuple):
            stack += nested


def without_ours(traceback):
    while traceback is not None and traceback.tb_frame.f_globals is HARNESS:
        traceback = traceback.tb_next
    return traceback


def write_stderr(text):
    stream = getattr(sys, "stderr", None)
    if stream is not None:
        stream.write(text)


def flush_user_streams():
    """What the user has put in the place of our streams may hold text back, as a TextIOWrapper around ours does."""
    for stream in (getattr(sys, "stdout", None), getattr(sys, "stderr", None)):
        try:
            stream.flush()
        except Exception:
            pass


def hide_from_hooks():
    """Threads and finalizers report through hooks of their own, which shall not show our frames either."""
    unraisable, in_thread = sys.unraisablehook, _thread._excepthook

    def unraisablehook(unraisable_args):
        if unraisable_args.exc_value is not None:
            strip(unraisable_args.exc_value)
        unraisable(unraisable_args)

    def excepthook(args):
        if args.exc_value is not None:
            strip(args.exc_value)
        in_thread(args)

    sys.unraisablehook = unraisablehook
    _thread._excepthook = excepthook


def read_setup():
    """The set-up records: `[u8 tag][u32 length][bytes]`."""
    data = b""
    while True:
        piece = posix.read(SETUP, 1 << 20)
        if not piece:
            break
        data += piece
    posix.close(SETUP)
    records, position = [], 0
    while position + 5 <= len(data):
        start = position + 5
        position = start + int.from_bytes(data[position + 1:start], "little")
        records.append((data[start - 5], data[start:position]))
    return records


def text_file(binary, name, errors):
    getattr(binary, "raw", binary).name = name
    return io.TextIOWrapper(binary, "utf-8", errors, write_through=True)


def map_segment(size):
    segment = memoryview(mmap.mmap(SEGMENT, size))
    return WriterRing(segment[:size // 2]), ReaderRing(segment[size // 2:])


def install(policy, session):
    """Makes this look like a plain interpreter."""
    for fd in range(CONTROL, SETUP):
        posix.set_inheritable(fd, False)
    stdin = io.BufferedReader(StdinFile(0, closefd=False))
    sys.stdin = sys.__stdin__ = text_file(stdin, "<stdin>", "surrogateescape")
    sys.stdout = sys.__stdout__ = text_file(OutputFile(STDOUT), "<stdout>", "surrogateescape")
    sys.stderr = sys.__stderr__ = text_file(OutputFile(STDERR), "<stderr>", "backslashreplace")
    for name in SITE_BUILTINS:
        setattr(builtins, name, (Quitter if name in ("exit", "quit") else SiteBuiltin)(name))
    sys.meta_path.insert(0, LazyModules())
    sys.meta_path.append(lazy_site)
    enter_environment()
    # asyncio and others compare with the default handler: ours takes its place before `signal` copies the name.
    _signal.default_int_handler = session.on_interrupt
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    posix.register_at_fork(before=output.before_fork, after_in_parent=output.after_fork_in_parent,
                        after_in_child=output.after_fork_in_child)
    atexit.register(session.finish)  # registered first, it runs last
    hide_from_hooks()
    sys.addaudithook(audit)


def serve():
    """Frames from the supervisor, one after the other, until SHUTDOWN."""
    while True:
        try:
            # An interrupt of the execution that has just ended may be on its way: it shall hit no other.
            while outbox.words[INTERRUPTING]:
                time.sleep(0.0002)
            frame = inbox.peek()
        except BaseException:
            continue  # what a signal handler of the user's raised while there was nothing to interrupt
        kind, body = frame[0], frame[5:]
        if kind == CODE_PART:
            inbox.consume()
            session.parts.append(body)
        elif kind == CODE:
            session.execute(session.run_code, take_source(body).decode("utf-8", "replace"))
        elif kind == RUN and body:
            what, source = body[0], take_source(body[1:])
            if what == RUN_FILE:
                session.execute(session.run_file, decode_path(source))
            elif what == RUN_COMMAND:
                session.execute(session.run_text, source.decode("utf-8", "replace"), "<string>", "-c")
            else:
                session.execute(session.run_text, source, "<stdin>", "-")
        else:
            inbox.consume()
            if kind == SHUTDOWN:
                session.running = True
                return


def take_source(last):
    source = b"".join(session.parts) + last
    session.parts = []
    return source


def arguments_fit(argv):
    try:
        posix.fstat(CONTROL)
        size = int(argv[3])
        return argv[1:3] == ["fd:3", "fd:4"] and size % 128 == 0 and size >= 1024 and posix.fstat(SEGMENT).st_size >= size
    except (IndexError, ValueError, OSError):
        return False


UNINTERRUPTIBLE = frozenset(function.__code__ for function in (
    WriterRing.push, ReaderRing.peek, ReaderRing.consume, Output.write, Output._exclusively,
    Output.before_fork, Output.after_fork_in_parent, Output.after_fork_in_child))

if __name__ == "__main__":
    if not arguments_fit(sys.argv):
        sys.stderr.write("usage: worker.py fd:3 fd:4 <shm_size> (started by the supervisor, with descriptors 0 to 8)\n")
        sys.exit(USAGE)
    outbox, inbox = map_segment(int(sys.argv[3]))
    policy = Policy(read_setup())
    lazy_site = LazySite()
    session = Session(policy.argv)
    output = Output(outbox)
    install(policy, session)
    posix.write(CONTROL, b"READY\n")
    serve()
