"""Tests of src/worker.py: `python3 -m unittest discover -s __test__/harness` (HARNESS_PYTHON names the interpreter)."""

import glob
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from fake_supervisor import (  # noqa: E402
    ALLOW_ALL, CODE, PYTHON, RUN, SHUTDOWN, VECTORS, WORKER, Supervisor, grants, record)

READ, WRITE, NET, EXEC = 1, 2, 3, 4
TEST_SECONDS = 60
PYTHON_VERSION = tuple(json.loads(subprocess.run(
    [PYTHON, "-I", "-S", "-c", "import sys; print(list(sys.version_info[:2]))"],
    stdout=subprocess.PIPE, check=True).stdout))
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp"}


def load_worker():
    spec = importlib.util.spec_from_file_location("worker_under_test", WORKER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def plain(arguments, cwd=None, stdin=b""):
    """What an ordinary interpreter does: one file for both streams, unbuffered."""
    return subprocess.run([PYTHON, "-u", *arguments], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          cwd=cwd, env=ENVIRONMENT, timeout=TEST_SECONDS)


class TimedTestCase(unittest.TestCase):
    def setUp(self):
        def expired(*_):
            raise AssertionError(f"no end after {TEST_SECONDS} s")
        signal.signal(signal.SIGALRM, expired)
        signal.alarm(TEST_SECONDS)
        self.addCleanup(signal.alarm, 0)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = os.path.realpath(folder.name)

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(text if isinstance(text, bytes) else textwrap.dedent(text).encode())
        return path

    def worker(self, *args, **options):
        supervisor = Supervisor(*args, **options)
        self.addCleanup(supervisor.close)
        return supervisor.ready()


class Vectors(unittest.TestCase):
    def read(self, name):
        with open(os.path.join(VECTORS, name)) as file:
            return json.load(file)

    def test_frames(self):
        worker = load_worker()
        vectors = self.read("frames.json")
        self.assertGreater(len(vectors), 60)
        for vector in vectors:
            frame = worker.encode_frame(vector["type"], vector["req_id"], bytes.fromhex(vector["body_hex"]))
            payload = bytes.fromhex(vector["payload_hex"])
            self.assertEqual(frame, len(payload).to_bytes(4, "little") + payload, vector["name"])

    def test_ring(self):
        worker = load_worker()
        worker.signal_host = lambda: None

        class Full(Exception):
            pass

        def wait_on(_):
            raise Full

        worker.wait_on = wait_on
        for vector in self.read("ring.json"):
            with self.subTest(vector["name"]):
                half = bytearray(64 + vector["capacity"])
                ring = worker.WriterRing(memoryview(half))
                ring.words[0], ring.words[1], ring.words[2] = vector["head"], vector["tail"], vector["capacity"]
                payload = bytes.fromhex(vector["payload_hex"])
                frame = worker.encode_frame(payload[0], int.from_bytes(payload[1:5], "little"), payload[5:])
                if vector["fits"]:
                    ring.push(frame)
                    reader = worker.ReaderRing(memoryview(half))
                    reader.words[0] = vector["tail"]  # what lies before it is no frame
                    self.assertEqual(reader.peek(), payload)
                else:
                    self.assertRaises(Full, ring.push, frame)
                    self.assertEqual(ring.words[3], 1)
                self.assertEqual(ring.words[1], vector["expect_tail"])
                self.assertEqual(half[64:].hex(), vector["data_hex"])


class Executions(TimedTestCase):
    def check(self, source, stdout="", code=0, how=0, error="", worker=None):
        worker = worker or self.worker()
        before = len(worker.stdout)
        end = worker.execute(textwrap.dedent(source))
        self.assertEqual((end.code, end.how, end.error), (code, how, error), bytes(worker.stderr).decode())
        self.assertEqual(bytes(worker.stdout[before:]).decode(), stdout)
        return worker

    def test_values_and_state(self):
        worker = self.worker()
        self.check("x = 20\n'a string'", "'a string'\n", worker=worker)
        self.check("x + 1", "21\n", worker=worker)
        self.check("_ * 2", "42\n", worker=worker)
        self.check("None", "", worker=worker)
        self.check("x; print('last is a call')", "last is a call\n", worker=worker)
        self.check("for i in range(2): i", "", worker=worker)
        self.check("", "", worker=worker)
        self.check("from __future__ import annotations\ndef f(a: nowhere): pass\nf.__annotations__",
                   "{'a': 'nowhere'}\n", worker=worker)
        self.assertEqual([end.number for end in worker.ends()], list(range(1, 9)))
        kinds = [kind for kind, _ in worker.events]
        self.assertEqual(kinds, ["start", "end"] * 8)

    def test_main_module(self):
        self.check("""
            import sys, pickle, dataclasses
            assert __name__ == '__main__' and sys.modules['__main__'].__dict__ is globals()
            @dataclasses.dataclass
            class Point:
                x: int
            assert pickle.loads(pickle.dumps(Point(3))) == Point(3)
            print(sorted(n for n in globals() if not n.startswith('__')), sys.argv, repr(sys.path[0]))
            """, "['Point', 'dataclasses', 'pickle', 'sys'] ['', 'a', 'b c'] ''\n",
            worker=self.worker([*ALLOW_ALL, record(1, "a"), record(1, "b c")]))

    def test_await(self):
        worker = self.worker()
        self.check("import asyncio\nqueue = asyncio.Queue()\nawait queue.put(5)", worker=worker)
        self.check("await queue.get()", "5\n", worker=worker)
        self.check("async def fail():\n    1/0\nawait fail()", code=1, how=1,
                   error="ZeroDivisionError: division by zero", worker=worker)
        text = bytes(worker.stderr).decode()
        self.assertNotIn("asyncio", text)
        self.assertIn('  File "<code-3>", line 3, in <module>\n    await fail()\n', text)

    def test_exit_codes(self):
        worker = self.worker()
        for source, code in (("exit()", 0), ("quit(3)", 3), ("import sys; sys.exit(-1)", 255), ("sys.exit(256)", 0),
                             ("sys.exit(2**70)", 255), ("sys.exit(True)", 1), ("raise SystemExit", 0)):
            self.check(source, code=code, how=2, worker=worker)
        self.check("sys.exit('a message')", code=1, how=2, worker=worker)
        self.assertEqual(bytes(worker.stderr), b"a message\n")

    def test_errors(self):
        worker = self.worker()
        suggestion = ". Did you mean: 'print'?" if PYTHON_VERSION >= (3, 12) else ""
        for source, error in (
                ("raise ValueError('x')", "ValueError: x"),
                ("raise ValueError", "ValueError"),
                ("{}['k']", "KeyError: 'k'"),
                ("pritn", "NameError: name 'pritn' is not defined" + suggestion),
                ("class Own(BaseException): pass\nraise Own('own')", "Own: own"),
                ("import json; json.loads('{')", "json.decoder.JSONDecodeError: Expecting property name enclosed in "
                 "double quotes: line 1 column 2 (char 1)"),
                ("class Bad(Exception):\n def __str__(self): 1/0\nraise Bad", "Bad: <exception str() failed>"),
                ("raise ValueError('a\\nb')", "ValueError: a\nb")):
            self.check(source, code=1, how=1, error=error, worker=worker)
        end = worker.execute("def f(:")
        self.assertRegex(end.error, "^SyntaxError: ")
        end = worker.execute("return 5")
        self.assertEqual(end.error, "SyntaxError: 'return' outside function")
        end = worker.execute("def f(): f()\nf()")
        self.assertRegex(end.error, "^RecursionError: maximum recursion depth exceeded")
        end = worker.execute("raise MemoryError")
        self.assertEqual(end.error, "MemoryError")
        self.check("'\\0' and 1", "1\n", worker=worker)
        self.assertNotIn(b"worker.py", worker.stderr)

    @unittest.skipIf(PYTHON_VERSION < (3, 11), "exception groups are of 3.11")
    def test_exception_group(self):
        self.check("raise ExceptionGroup('g', [ValueError(1), TypeError(2)])", code=1, how=1,
                   error="ExceptionGroup: g (2 sub-exceptions)")

    def test_excepthook_of_the_user(self):
        worker = self.check("import sys\nsys.excepthook = lambda *a: print('hook', a[0].__name__)\n1/0", "hook "
                            "ZeroDivisionError\n", code=1, how=1, error="ZeroDivisionError: division by zero")
        end = worker.execute("sys.excepthook = lambda *a: 1/0\n{}[3]")
        self.assertEqual((end.code, end.error), (1, "KeyError: 3"))

    def test_sources_in_tracebacks(self):
        worker = self.worker()
        worker.execute("def f():\n    raise KeyError('deep')  # the source")
        worker.execute("import traceback\ntry:\n    f()\nexcept KeyError:\n    traceback.print_exc()")
        self.assertIn(b"    raise KeyError('deep')  # the source", worker.stderr)
        worker.execute("f()")
        self.assertEqual(worker.stderr.count(b"# the source"), 2)
        for number in range(120):
            worker.push(CODE, b"pass")
        worker.wait(lambda: len(worker.ends()) == 123)
        self.check("import linecache\nlen([n for n in linecache.cache if n.startswith('<code-')])", "100\n",
                   worker=worker)

    def test_large_source_in_parts(self):
        worker = self.worker(shm_size=16384)
        big = "x" * 100_000
        self.check(f"len('{big}')", "100000\n", worker=worker)

    def test_order_of_frames(self):
        worker = self.worker()
        worker.push(CODE, b"print(1)")
        worker.push(CODE, b"print(2)")
        worker.push(SHUTDOWN)
        self.assertEqual(worker.wait_exit(), 0)
        self.assertEqual(bytes(worker.stdout), b"1\n2\n")

    def test_hostile_to_itself(self):
        for source in ("import sys\ndel sys.stdout", "import sys\nsys.stdout = None\nsys.stderr = None",
                       "import sys\nsys.stdout.close()", "import os\nos.close(1)", "import os\nos.close(2)\n1/0",
                       "import sys, io\nsys.stdout = io.StringIO()\nprint('lost')",
                       "import sys\nsys.excepthook = None\n1/0", "del __builtins__",
                       "import sys\nsys.modules.clear()", "import sys\ndel sys.modules['__main__']",
                       "import sys\nsys.meta_path.clear()"):
            with self.subTest(source):
                worker = self.worker()
                worker.execute(source)
                self.assertEqual(worker.execute("x = 1").code, 0, bytes(worker.stderr))
                worker.shutdown()

    def test_closed_stdout_says_so(self):
        worker = self.worker()
        self.check("import sys\nsys.stdout.close()", worker=worker)
        self.check("print(1)", code=1, how=1, error="ValueError: I/O operation on closed file.", worker=worker)
        worker = self.worker()
        end = worker.execute("import os\nos.close(1)\nprint(1)")
        self.assertEqual(end.error, "OSError: [Errno 9] Bad file descriptor")

    def test_wrapped_stdout_is_flushed(self):
        self.check("import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer, 'utf-8')\nprint('ž')", "ž\n")
        self.check("import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.detach(), 'utf-8')\nprint('ž')", "ž\n")

    def test_stdout_redirected_by_descriptor(self):
        path = os.path.join(self.folder, "out")
        self.check(f"import os\nsaved = os.dup(1)\nos.dup2(os.open({path!r}, os.O_CREAT | os.O_WRONLY), 1)\n"
                   "print('to the file')\nos.dup2(saved, 1)\nprint('back')", "back\n")
        with open(path) as file:
            self.assertEqual(file.read(), "to the file\n")

    def test_descriptors_closed(self):
        worker = self.worker()
        worker.push(CODE, b"import os\nos.closerange(3, 100)\nprint('x')")
        self.assertEqual(worker.wait_exit(), 70)

    def test_hard_exits(self):
        worker = self.worker()
        worker.push(CODE, b"import os\nprint('out')\nos._exit(7)")
        self.assertEqual(worker.wait_exit(), 7)
        self.assertEqual(bytes(worker.stdout), b"out\n")
        worker = self.worker()
        worker.push(CODE, b"import os\nos.abort()")
        self.assertEqual(worker.wait_exit(), -signal.SIGABRT)

    def test_usage(self):
        done = subprocess.run([PYTHON, "-I", "-S", WORKER], stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"usage: worker.py", done.stderr)


class Interrupts(TimedTestCase):
    def test_interrupt(self):
        worker = self.worker()
        worker.push(CODE, b"print('on')\nwhile True: pass")
        worker.wait(lambda: worker.stdout == b"on\n")
        worker.interrupt()
        worker.wait(worker.ends)
        end = worker.ends()[0]
        self.assertEqual((end.code, end.how, end.error), (130, 3, "KeyboardInterrupt"))
        self.assertTrue(worker.stderr.endswith(b"\nKeyboardInterrupt\n"), worker.stderr)
        self.assertNotIn(b"worker.py", worker.stderr)
        self.assertEqual(worker.execute("1").code, 0)

    def test_idle_is_not_interrupted(self):
        worker = self.worker()
        for _ in range(20):
            worker.interrupt()
            time.sleep(0.002)
        self.assertEqual(worker.execute("print('alive')").how, 0)
        worker.execute("import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)")
        worker.interrupt()
        self.assertEqual(worker.execute("import signal\nsignal.signal(signal.SIGALRM, lambda *a: 1/0)\n"
                                        "signal.setitimer(signal.ITIMER_REAL, 0.05)").how, 0)
        time.sleep(0.2)
        self.assertEqual(worker.execute("2").how, 0)

    def test_nothing_begins_while_an_interrupt_may_be_on_its_way(self):
        worker = self.worker()
        worker.push(CODE, b"import signal\nsignal.signal(signal.SIGINT, lambda *a: print('hit'))\nprint('on')")
        worker.wait(worker.ends)
        worker.hold_back(True)
        worker.push(CODE, b"pass")
        worker.push(CODE, b"print('next')")
        time.sleep(0.1)
        self.assertLessEqual(len(worker.ends()), 2, "the frame that it waits for may be taken, and no other")
        self.assertNotIn(b"next", worker.stdout)
        worker.interrupt()
        worker.wait(lambda: b"hit" in worker.stdout)
        worker.hold_back(False)
        worker.wait(lambda: len(worker.ends()) == 3)
        self.assertEqual(bytes(worker.stdout), b"on\nhit\nnext\n")

    def test_interrupt_amid_output(self):
        """However often: the ring stays whole, the lock free, and each execution has its one end."""
        worker = self.worker(shm_size=8192)
        for round_ in range(30):
            count = len(worker.ends())
            worker.push(CODE, b"while True: print('y' * 300)")
            time.sleep(0.005 + round_ * 0.001)
            while len(worker.ends()) == count:
                worker.interrupt()
                time.sleep(0.005)
            self.assertIn(worker.ends()[-1].how, (1, 3))
        self.assertEqual(worker.execute("print('end')").code, 0)
        for line in worker.stdout.split(b"\n"):
            # An interrupt may fall between the text of a `print` and its newline, as in plain Python.
            self.assertIn(line.strip(b"y"), (b"", b"end"))
            self.assertEqual(line.count(b"y") % 300, 0)

    def test_interrupt_while_the_ring_is_full(self):
        worker = self.worker(shm_size=8192)
        worker.paused.set()
        worker.push(CODE, b"while True: print('y' * 300)")
        time.sleep(0.3)
        worker.interrupt()
        time.sleep(0.1)
        worker.paused.clear()
        worker.wait(worker.ends)
        self.assertEqual(worker.ends()[0].how, 3)

    def test_interrupt_of_await(self):
        worker = self.worker()
        worker.push(CODE, b"import asyncio\nprint('on')\ntry:\n    await asyncio.sleep(50)\nfinally:\n    print('out')")
        worker.wait(lambda: worker.stdout == b"on\n")
        time.sleep(0.1)
        worker.interrupt()
        worker.wait(worker.ends)
        self.assertEqual(worker.ends()[0].how, 3)
        self.assertEqual(bytes(worker.stdout), b"on\nout\n")
        self.assertEqual(worker.execute("await asyncio.sleep(0)").how, 0)

    def test_print_in_signal_handler(self):
        worker = self.worker()
        end = worker.execute("""if 1:
            import signal, time
            ticks = 0
            def tick(*_):
                global ticks
                ticks += 1
                print('tick')
            signal.signal(signal.SIGALRM, tick)
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                print('x' * 50)
            signal.setitimer(signal.ITIMER_REAL, 0)
            """)
        self.assertEqual(end.how, 0, bytes(worker.stderr))
        worker.execute("print(ticks)")
        lines = bytes(worker.stdout).decode().split("\n")
        self.assertGreater(int(lines[-2]), 10)
        self.assertGreater(bytes(worker.stdout).count(b"tick"), 10)


class OutputOrder(TimedTestCase):
    MIXED = """
        import ctypes, os, sys
        libc = ctypes.CDLL(None)
        for i in range(2000):
            print('print', i)
            os.write(1, b'os.write %d\\n' % i)
            print('stderr', i, file=sys.stderr)
            libc.printf(b'printf %d\\n', i)
            libc.fflush(None)
            print('held', end=' ')
            os.write(1, b'between ')
            print('released')
            sys.stdout.buffer.write(b'bytes \\xff\\xfe\\n')
            sys.stdout.write('surrogate \\udcc3\\udca9 \\udcff\\n')
            sys.stderr.write('escaped \\ud800\\n')
            if i % 100 == 0:
                pid = os.fork()
                if pid == 0:
                    print('child', i)
                    print('child stderr', i, file=sys.stderr)
                    print('child again')
                    os._exit(0)
                os.waitpid(pid, 0)
        """

    def test_same_bytes_as_plain_python(self):
        path = self.file("mixed.py", self.MIXED)
        expected = plain([path]).stdout
        self.assertGreater(expected.count(b"\n"), 10_000)
        for start_counter in (0, 0xFFFFFF00):
            worker = self.worker(start_counter=start_counter)
            end = worker.run(0, path, timeout=50)
            self.assertEqual(end.how, 0, bytes(worker.stderr[-500:]))
            worker.shutdown()
            if worker.merged != expected:
                here = next(i for i, pair in enumerate(zip(worker.merged, expected)) if pair[0] != pair[1])
                self.fail(f"at {here}: {bytes(worker.merged[max(0, here - 200):here + 200])!r} but plain "
                          f"{expected[max(0, here - 200):here + 200]!r}")

    def test_held_text(self):
        worker = self.worker()
        worker.execute("import os, sys\nprint('x', end=''); os.write(1, b'y'); print('z')")
        self.assertEqual(bytes(worker.stdout), b"xyz\n")
        worker.execute("print('a', end=''); print('b', end='', file=sys.stderr); print('c')")
        self.assertEqual(bytes(worker.merged), b"xyz\nabc\n")

    def test_one_print_is_one_frame(self):
        worker = self.worker()
        worker.execute("print('a\\nb', 1, 2.5, sep=', ')\nprint('x' * 200_000)\nprint(*range(5000))")
        self.assertEqual([len(text) for _, text in worker.outputs], [len("a\nb, 1, 2.5\n"), 200_001, 23_890])

    def test_larger_than_the_ring(self):
        worker = self.worker(shm_size=4096)
        worker.execute("print('ž日🐍' * 30_000)")
        self.assertEqual(bytes(worker.stdout).decode(), "ž日🐍" * 30_000 + "\n")
        self.assertEqual(len(worker.outputs), 1)

    def test_larger_than_16_mib(self):
        worker = self.worker(shm_size=4 << 20)
        worker.execute("print('x' * (40 << 20))")
        self.assertEqual(len(worker.stdout), (40 << 20) + 1)
        self.assertLessEqual(max(len(text) for _, text in worker.outputs), 17 << 20)

    def test_flush_shows_text(self):
        worker = self.worker()
        for source in (b"print('p', end='', flush=True)\nimport time; time.sleep(50)", b"input('p')",
                       b"import sys\nprint('p', end='')\nsys.stdin.readline()"):
            worker = self.worker()
            worker.push(CODE, source)
            worker.wait(lambda: worker.stdout == b"p", 5)

    def test_threads(self):
        worker = self.worker()
        worker.execute("""if 1:
            import threading
            def work(name):
                for i in range(500): print(f'{name} {i}' + 'x' * 100 + '\\n', end='')
            threads = [threading.Thread(target=work, args=(n,)) for n in 'abcd']
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            """)
        lines = bytes(worker.stdout).decode().splitlines()
        self.assertEqual(len(lines), 2000)
        for name in "abcd":
            mine = [line for line in lines if line.startswith(name)]
            self.assertEqual(mine, [f"{name} {i}" + "x" * 100 for i in range(500)])

    def test_audit_hook_that_prints(self):
        worker = self.worker()
        worker.execute("import sys\nsys.addaudithook(lambda event, args: print('event', event))\nprint('done')")
        worker.execute("import colorsys")
        self.assertIn(b"event import\n", worker.stdout)
        self.assertNotIn(b"ioctl", worker.stdout)

    def test_stream_attributes(self):
        worker = self.worker()
        end = worker.execute("""if 1:
            import sys
            for stream, fd, name in ((sys.stdout, 1, '<stdout>'), (sys.stderr, 2, '<stderr>')):
                assert stream.fileno() == stream.buffer.fileno() == fd and not stream.isatty()
                assert stream.name == name and stream.encoding == 'utf-8' and not stream.closed
                assert stream.write('abc') == 3 and stream.writable() and not stream.readable()
                assert stream.buffer.write(b'abc\\n') == 4
                stream.writelines(['a', 'b'])
                stream.flush()
                stream.line_buffering
                try: stream.write(b'x')
                except TypeError as e: assert str(e) == 'write() argument must be str, not bytes', e
                else: assert 0
                try: stream.buffer.write('x')
                except TypeError: pass
                else: assert 0
            assert sys.stdout.errors == 'surrogateescape' and sys.stderr.errors == 'backslashreplace'
            assert sys.stdout is sys.__stdout__ and sys.stdin is sys.__stdin__
            sys.stdout.reconfigure(encoding='latin-1')
            print('é')
            sys.stdout.reconfigure(encoding='utf-8', errors='strict')
            try: print('\\udcff')
            except UnicodeEncodeError: pass
            else: assert 0
            """)
        self.assertEqual(end.error, "", bytes(worker.stderr))
        self.assertIn(b"\xe9\n", worker.stdout)


class Children(TimedTestCase):
    def test_child_that_falls_through(self):
        path = self.file("fork.py", """
            import atexit, os, sys
            atexit.register(lambda: print('exit handler', 'child' if child else 'parent'))
            child = os.fork() == 0
            if child:
                print('child')
            else:
                print('status', os.waitstatus_to_exitcode(os.wait()[1]))
            """)
        worker = self.worker()
        self.assertEqual(worker.run(0, path).how, 0)
        self.assertEqual(worker.shutdown(), 0)
        self.assertEqual(bytes(worker.merged), plain([path]).stdout)

    def test_exit_codes_of_children(self):
        worker = self.worker()
        for source, status in (("1/0", 1), ("exit(9)", 9), ("pass", 0)):
            worker.execute(f"import os\nif os.fork() == 0:\n    {source}\nelse:\n    print(os.wait()[1] >> 8)")
            self.assertEqual(worker.stdout.split(b"\n")[-2], b"%d" % status)
        self.assertIn(b"ZeroDivisionError", worker.stderr)
        self.assertNotIn(b"worker.py", worker.stderr)
        self.assertEqual([kind for kind, _ in worker.events], ["start", "end"] * 3)

    def test_multiprocessing(self):
        worker = self.worker()
        end = worker.execute("""if 1:
            import multiprocessing, concurrent.futures, warnings
            warnings.simplefilter('ignore')
            class Thing:
                def __init__(self, n): self.n = n
            def double(thing): return Thing(thing.n * 2)
            assert multiprocessing.get_start_method() == 'fork'
            with multiprocessing.Pool(2) as pool:
                print([t.n for t in pool.map(double, [Thing(1), Thing(2)])])
            with concurrent.futures.ProcessPoolExecutor(2) as pool:
                print([t.n for t in pool.map(double, [Thing(3)])])
            process = multiprocessing.Process(target=print, args=('from the child',))
            process.start(); process.join()
            """)
        self.assertEqual(end.error, "", bytes(worker.stderr))
        self.assertEqual(bytes(worker.stdout), b"[2, 4]\n[6]\nfrom the child\n")

    def test_fork_replaces_forkserver(self):
        """What we do on 3.14, where forkserver is the default, done to the interpreter at hand."""
        worker = self.worker()
        end = worker.execute("""if 1:
            import sys
            lazy = sys.meta_path[0]
            lazy.patches['multiprocessing.context'] = lazy.multiprocessing
            from multiprocessing import context
            context.DefaultContext, context._concrete_contexts['fork']
            import multiprocessing
            assert multiprocessing.get_start_method() == 'fork'
            assert multiprocessing.get_context() is context._default_context.get_context()
            """)
        self.assertEqual(end.error, "", bytes(worker.stderr))

    def test_descriptors_are_not_inherited(self):
        worker = self.worker()
        worker.execute("import subprocess\nprint(subprocess.run('ls -l /proc/self/fd', shell=True, close_fds=False, "
                       "capture_output=True, text=True).stdout)")
        self.assertNotIn(b"eventfd", worker.stdout)
        self.assertNotIn(b"memfd", worker.stdout)


class Scripts(TimedTestCase):
    def same_as_plain(self, source, name="script.py", args=(), worker=None, stdin=b""):
        path = self.file(name, source)
        expected = plain([path, *args], stdin=stdin)
        worker = worker or self.worker([*ALLOW_ALL, *(record(1, arg) for arg in args)])
        end = worker.run(0, path)
        self.assertEqual(worker.shutdown(), 0)
        self.assertEqual(*(re.sub(" at 0x[0-9a-f]+", "", text.decode()) for text in (worker.merged, expected.stdout)))
        self.assertEqual(end.code, expected.returncode)
        return end

    def test_script(self):
        self.file("beside.py", "value = 5\n")
        self.same_as_plain("""
            import sys, os, beside, inspect
            print(__name__, __file__, sys.argv, sys.path[0], beside.value, __package__, __doc__, __spec__)
            print(type(__loader__).__name__, inspect.getsource(inspect.getmodule(lambda: 0))[:20])
            'not shown'
            """, args=("one", "two words"))

    def test_tracebacks(self):
        for number, source in enumerate((
                "def f(x):\n    return 1 / x\n\nf(0)\n",
                "try:\n    {}['a']\nexcept KeyError:\n    raise ValueError('second')\n",
                "try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError('second') from e\n",
                "def f(:\n", "x = 1\nreturn x\n", "  x\n", "import sys\nsys.exit('said')\n",
                "import sys\nsys.stdout.write(5)\n", "pritn(5)\n", "import json\njson.loads('[')\n",
                "import threading\ndef f():\n    1/0\nt = threading.Thread(target=f, name='T')\nt.start()\nt.join()\n",
                "class A:\n    def __del__(self): 1/0\na = A()\ndel a\n",
                "class E(Exception):\n    def __str__(self): 1/0\nraise E\n",
                "import no_such_module\n", "import json.nothing\n", "assert 1 == 2, 'no'\n",
                "e = ValueError('x')\nif hasattr(e, 'add_note'): e.add_note('a note')\nraise e\n",
                "import sys\nsys.stderr.write('partial ')\nprint('out', end='')\n1/0\n",
                "exec('1/0')\n", "raise SystemExit(4)\n")):
            with self.subTest(source):
                self.same_as_plain(source, f"script{number}.py")

    @unittest.skipIf(PYTHON_VERSION < (3, 11), "exception groups are of 3.11")
    def test_group_traceback(self):
        self.same_as_plain("def f():\n    1/0\ntry:\n    f()\nexcept Exception as e:\n"
                           "    raise ExceptionGroup('both', [e, ValueError('v')])\n")

    def test_encodings(self):
        self.same_as_plain("# -*- coding: latin-1 -*-\nprint('é')\n".encode("latin-1"), "latin.py")
        self.same_as_plain(b"\xef\xbb\xbfprint('bom')\n", "bom.py")

    def test_command_and_stdin(self):
        source = "import sys\nprint(sys.argv, repr(sys.path[0]), __name__)\n1/0\n"
        for what, arguments, stdin in ((1, ["-c", source], b""), (2, ["-"], source.encode())):
            expected = plain([*arguments, "x"], cwd=self.folder, stdin=stdin)
            worker = self.worker([*ALLOW_ALL, record(1, "x")], cwd=self.folder)
            end = worker.run(what, source)
            self.assertEqual(bytes(worker.merged).decode(), expected.stdout.decode())
            self.assertEqual(end.code, 1)

    def test_missing_file(self):
        worker = self.worker()
        end = worker.run(0, "/nowhere/x.py")
        self.assertEqual(end.code, 2)
        self.assertIn(b"can't open file '/nowhere/x.py': [Errno 2] No such file or directory\n", worker.stderr)

    def test_stdin(self):
        path = self.file("ask.py", "print('hello', input('name? '))\nprint(repr(input()))\n"
                         "try:\n    input('more? ')\nexcept EOFError:\n    print('end of file')\n")
        worker = self.worker()
        worker.push(RUN, b"\0" + path.encode())
        worker.wait(lambda: worker.stdout == b"name? ")
        os.write(worker.stdin, "Žofie\nsecond\n".encode())
        worker.wait(lambda: worker.stdout.endswith(b"more? "))
        os.close(worker.stdin)
        worker.stdin = None
        worker.wait(worker.ends)
        self.assertEqual(bytes(worker.stdout).decode(), "name? hello Žofie\n'second'\nmore? end of file\n")

    def test_end_of_the_process(self):
        self.same_as_plain("""
            import atexit, threading, time
            atexit.register(print, 'registered first')
            atexit.register(print, 'registered last', end='')
            def late():
                time.sleep(0.2)
                print('from a thread')
            threading.Thread(target=late).start()
            class A:
                def __del__(self): print('finalised')
            a = A()
            print('main is done')
            """)


class Imports(TimedTestCase):
    def test_missing_module(self):
        worker = self.worker()
        self.assertEqual(worker.execute("import no_such_thing").error,
                         "ModuleNotFoundError: No module named 'no_such_thing'")
        self.assertEqual(worker.execute("import json.nothing").error,
                         "ModuleNotFoundError: No module named 'json.nothing'")

    def test_site_packages_of_a_venv(self):
        subprocess.run([PYTHON, "-m", "venv", "--without-pip", self.folder + "/venv"], check=True, env=ENVIRONMENT)
        packages = glob.glob(self.folder + "/venv/lib/*/site-packages")[0]
        self.file(os.path.join(packages, "fancy.py"), "value = 'from the venv'\n")
        self.file(os.path.join(packages, "extra.pth"), self.folder + "/elsewhere\n")
        self.file("elsewhere/further.py", "value = 'by a .pth'\n")
        self.file(os.path.join(packages, "fancy-1.5.dist-info/METADATA"), "Name: fancy\nVersion: 1.5\n")
        python = self.folder + "/venv/bin/python3"
        worker = self.worker(python=python)
        worker.execute("import sys\n'site' in sys.modules")
        worker.execute("import fancy, further\nprint(fancy.value, further.value, repr(sys.path[0]))")
        worker.execute("print(sys.prefix)")
        self.assertEqual(bytes(worker.stdout).decode(),
                         f"False\nfrom the venv by a .pth ''\n{self.folder}/venv\n", bytes(worker.stderr))
        worker = self.worker(python=python)
        self.assertEqual(worker.execute("import importlib.metadata as m\nprint(m.version('fancy'))").error, "")
        self.assertEqual(bytes(worker.stdout), b"1.5\n")

    def test_site_waits_for_a_module_of_its_own(self):
        worker = self.worker()
        worker.execute("import asyncio, ctypes, concurrent.futures, decimal, json, multiprocessing, pickle, platform, "
                       "shutil, sqlite3, ssl, subprocess, tempfile, urllib.request, uuid, webbrowser, sys\n"
                       "print('site' in sys.modules)")
        worker.execute("import os, site\n"
                       "print(all(d in sys.path for d in site.getsitepackages() if os.path.isdir(d)))")
        self.assertEqual(bytes(worker.stdout), b"False\nTrue\n", bytes(worker.stderr))

    def test_prefix_of_a_venv(self):
        subprocess.run([PYTHON, "-m", "venv", "--without-pip", "--system-site-packages", self.folder + "/venv"],
                       check=True, env=ENVIRONMENT)
        worker = self.worker(python=self.folder + "/venv/bin/python3")
        worker.execute("import sys\nprint(sys.prefix, sys.exec_prefix, 'site' in sys.modules)")
        worker.execute("import site\nprint(*site.PREFIXES, sys.prefix)")
        prefix = self.folder + "/venv"
        base = sys.base_prefix
        first, second = bytes(worker.stdout).decode().splitlines()
        self.assertEqual(first, f"{prefix} {prefix} False", bytes(worker.stderr))
        self.assertEqual(second, f"{prefix} {base} {base} {prefix}" if sys.version_info < (3, 14)
                         else f"{prefix} {prefix} {base} {base} {prefix}")

    def test_builtins(self):
        worker = self.worker()
        worker.execute("print(exit, copyright)\nlicense\nhelp")
        self.assertIn(b"Use exit() or Ctrl-D (i.e. EOF) to exit", worker.stdout)
        self.assertIn(b"Copyright (c)", worker.stdout)
        self.assertIn(b"Type help()", worker.stdout)

    def test_what_is_loaded_at_ready(self):
        worker = self.worker()
        worker.execute("import sys\nprint(*[m for m in ('os', 'site', 'threading', 'traceback', 'linecache', 'ast', "
                       "'json', 'signal', 're', 'asyncio', 'ctypes') if m in sys.modules])")
        self.assertEqual(bytes(worker.stdout), b"\n")


class Denials(TimedTestCase):
    def denied(self, source, kind, operation, target, message, **options):
        worker = self.worker(grants(**options), cwd=self.folder)
        end = worker.execute(source)
        self.assertEqual(end.error, "NotCapable: " + message, bytes(worker.stderr))
        self.assertEqual(worker.denials(), [(kind, operation, target)])
        self.assertNotIn(b"worker.py", worker.stderr)

    def allowed(self, source, stdout=None, **options):
        worker = self.worker(grants(**options), cwd=self.folder)
        end = worker.execute(source)
        self.assertEqual(end.error, "", bytes(worker.stderr))
        self.assertEqual(worker.denials(), [])
        if stdout is not None:
            self.assertEqual(bytes(worker.stdout).decode(), stdout)

    # The fake supervisor has no kernel sandbox. A path that does not exist is what an ungranted one looks like.

    def test_read(self):
        for call in ("open('/secret/x')", "__import__('os').open('/secret/x', 0)", "open(b'/secret/x', 'rb')",
                     "__import__('pathlib').Path('/secret/x').read_text()", "open('/secret/a/../x')",
                     "open('/tmp/../secret//x')", "__import__('io').open('/secret/x')"):
            with self.subTest(call):
                self.denied(call, READ, "open", "/secret/x",
                            'Requires read access to "/secret/x", run again with --allow-read=/secret/x')

    def test_system_path_asked_by_the_user(self):
        for call in ("open('/etc/secret')", "__import__('pathlib').Path('/etc/secret').read_text()",
                     "__import__('shutil').copy('/etc/secret', '/dev/null')"):
            self.denied(call, READ, "open", "/etc/secret",
                        'Requires read access to "/etc/secret", run again with --allow-read=/etc/secret')

    def test_variables_that_are_not_there(self):
        worker = self.worker(grants(), cwd=self.folder)
        worker.execute("""if 1:
            import os, shutil, collections
            os.environ.get('GET'), os.getenv('GETENV'), 'IN' in os.environ, os.getenvb(b'BYTES')
            os.environ['NEW'] = 'x'
            os.environ['NEW'], os.environ.copy(), list(os.environ)
            shutil.get_terminal_size()
            try:
                os.environ['KEY']
            except KeyError as error:
                print(error)""")
        self.assertEqual(bytes(worker.stdout), b"'KEY'\n")
        self.assertEqual(worker.denials(), [(5, "getenv", name) for name in ("GET", "GETENV", "IN", "BYTES", "KEY")])

    def test_variables_that_are_looked_up_where_a_policy_is_learned(self):
        worker = self.worker([record(5, b"\3"), *grants()[1:]], cwd=self.folder)
        worker.execute("""if 1:
            import os
            os.environ['ONE'] = os.environ['TWO'] = 'x'
            os.environ.copy(), dict(os.environ), os.environ.get('MISSING')
            os.environ['ONE'], os.environ.get('TWO'), 'TWO' in os.environ""")
        self.assertEqual(worker.denials(), [(5, "getenv", name) for name in ("ONE", "TWO", "TWO")])

    def test_list_and_write(self):
        target = self.folder + "/new"
        message = f'Requires write access to "{target}", run again with --allow-write={target}'
        self.denied("import os; os.listdir('/secret')", READ, "listdir", "/secret",
                    'Requires read access to "/secret", run again with --allow-read=/secret')
        self.denied("open('new', 'w')", WRITE, "open", target, message)
        self.denied(f"import os; os.mkdir({target!r})", WRITE, "mkdir", target, message)
        self.denied(f"import os; os.remove({target!r})", WRITE, "remove", target, message)
        self.denied(f"import os; os.rmdir({target!r})", WRITE, "rmdir", target, message)
        self.denied(f"import os; os.symlink('/x', {target!r})", WRITE, "symlink", target, message)
        self.denied(f"import os; os.chmod({target!r}, 0o600)", WRITE, "chmod", target, message)
        self.denied(f"import os; os.truncate({target!r}, 0)", WRITE, "truncate", target, message)
        self.denied(f"import os; os.utime({target!r})", WRITE, "utime", target, message)
        self.denied(f"import os; os.rename({target!r}, {target!r})", WRITE, "rename", target, message)
        self.assertFalse(os.path.exists(target))

    def test_attributes(self):
        worker = self.worker(grants())
        end = worker.execute("""if 1:
            import errno, pickle
            try: open('/secret/x')
            except NotCapable as error:
                assert isinstance(error, PermissionError) and error.errno == errno.EACCES
                assert (error.filename, error.permission, error.value) == ('/secret/x', 'read', '/secret/x')
                assert str(pickle.loads(pickle.dumps(error))) == str(error)
                print('caught')
            """)
        self.assertEqual((end.error, bytes(worker.stdout)), ("", b"caught\n"))

    def test_granted(self):
        self.file("data/x", "content")
        folder = self.folder
        self.allowed(f"import os\nprint(open('{folder}/data/x').read(), os.listdir('{folder}/data'))\n"
                     f"text = open('data/x').read(); control = open(3, closefd=False)", "content ['x']\n", read=[folder])
        self.allowed(f"open('{folder}/data/y', 'w').write('z')\nimport os\nos.rename('{folder}/data/y', "
                     f"'{folder}/data/z')\nos.remove('{folder}/data/z')", write=[folder])
        self.allowed("open('/nowhere/x') if 0 else None\nopen('/dev/null', 'w').write('x')\nopen('/proc/self/stat')")
        self.allowed("import tempfile\nwith tempfile.TemporaryFile() as f: f.write(b'x')", read=["/tmp"], write=["/tmp"])
        worker = self.worker(grants(allowed=15))
        self.assertEqual(worker.execute("open('/nowhere')").error,
                         "FileNotFoundError: [Errno 2] No such file or directory: '/nowhere'")

    def test_whole_components(self):
        self.denied(f"open('{self.folder}x/y')", READ, "open", self.folder + "x/y",
                    f'Requires read access to "{self.folder}x/y", run again with --allow-read={self.folder}x/y',
                    read=[self.folder])

    def test_masked(self):
        self.denied(f"open('{self.folder}/a'.replace('/a', '/no'))", READ, "open", self.folder + "/no",
                    f'Requires read access to "{self.folder}/no", run again with --allow-read={self.folder}/no',
                    read=[self.folder], masked=[self.folder + "/no"])

    def test_kept(self):
        kept = self.folder + "/kept"
        for code, operation in ((f"open('{kept}/x', 'w')", "open"), (f"import os\nos.mkdir('{kept}/x')", "mkdir")):
            self.denied(code, WRITE, operation, f"{kept}/x",
                        f'Requires write access to "{kept}/x", run again with --allow-write={kept}/x',
                        read=[self.folder], write=[self.folder], kept=[kept])
        self.file("x", "content")
        self.allowed(f"open('{self.folder}/x').read()", read=[self.folder], write=[self.folder], kept=[self.folder])

    def test_what_the_kernel_allows(self):
        """Readable after all, such as a directory of the sandbox's own: the hook has no say."""
        self.file("x", "content")
        self.allowed(f"open('{self.folder}/x').read()\nimport os\nos.listdir('/')")

    def test_without_kernel_the_hooks_decide(self):
        self.file("x", "content")
        worker = self.worker(grants(kernel=0))
        end = worker.execute(f"open('{self.folder}/x')")
        self.assertRegex(end.error, "^NotCapable: Requires read access")
        self.assertEqual(worker.execute("import json, asyncio, email.message").error, "")

    def test_network(self):
        message = 'Requires net access to "{0}", run again with --allow-net={0}'
        self.denied("import socket\nsocket.create_connection(('example.com', 443))", NET, "getaddrinfo",
                    "example.com:443", message.format("example.com:443"))
        self.denied("import socket\nsocket.socket().connect(('10.1.2.3', 80))", NET, "connect", "10.1.2.3:80",
                    message.format("10.1.2.3:80"))
        self.denied("import socket\nsocket.gethostbyname('example.com')", NET, "gethostbyname", "example.com",
                    message.format("example.com"))
        self.allowed("""if 1:
            import socket
            server = socket.create_server(('127.0.0.1', 0))
            client = socket.create_connection(('localhost', server.getsockname()[1]))
            a, b = socket.socketpair()
            """)

    def test_exec(self):
        message = 'Requires run access to "{0}", run again with --allow-run={0}'
        self.denied("import subprocess\nsubprocess.run(['ls', '-l'])", EXEC, "exec", "ls", message.format("ls"))
        self.denied("import os\nos.system('ls')", EXEC, "system", "sh", message.format("sh"))
        self.denied("import os\nos.execv('/bin/ls', ['ls'])", EXEC, "exec", "/bin/ls", message.format("/bin/ls"))
        self.denied("import os\nos.posix_spawn('/bin/ls', ['ls'], {})", EXEC, "posix_spawn", "/bin/ls",
                    message.format("/bin/ls"))
        self.denied("import asyncio\nawait asyncio.create_subprocess_exec('ls')", EXEC, "exec", "ls",
                    message.format("ls"))

    def test_standard_library_at_its_own_errands(self):
        self.allowed("""if 1:
            import mimetypes, locale, platform, gettext, random, uuid, ssl, ctypes.util, getpass, sysconfig, webbrowser
            mimetypes.guess_type('a.html'); platform.platform(); platform.processor(); uuid.uuid4(); uuid.getnode()
            gettext.find('x'); ssl.create_default_context(); random.random(); ctypes.util.find_library('c')
            try: import zoneinfo; zoneinfo.ZoneInfo('Mars/Base')
            except Exception as error: assert not isinstance(error, PermissionError), error
            """)

    def test_import_probing(self):
        self.allowed("""if 1:
            import sys
            sys.path.insert(0, '/secret/lib')
            try: import no_such_module
            except ModuleNotFoundError: pass
            import linecache
            assert linecache.getline('/secret/x.py', 1) == ''
            """)

    def test_modules_beside_a_script(self):
        path = self.file("sub/main.py", "import beside_me\n")
        worker = self.worker(grants(read=[path]))
        end = worker.run(0, path)
        folder = os.path.dirname(path)
        self.assertEqual(end.error, "ModuleNotFoundError: No module named 'beside_me'")
        self.assertTrue(bytes(worker.stderr).decode().endswith(
            f'Requires read access to "{folder}" to import modules beside the script, '
            f"run again with --allow-read={folder}\n"), worker.stderr)
        self.assertEqual(worker.denials(), [(READ, "import", folder)])
        worker = self.worker(grants(read=[folder]))
        worker.run(0, path)
        self.assertEqual(worker.denials(), [])


if __name__ == "__main__":
    unittest.main()
