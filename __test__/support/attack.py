"""What every attack starts with; its own text follows in the same namespace. Runs in the sandbox, and in the control without.

Everything goes through the C library, past Python's own functions: the harness's hooks, which explain denials, see nothing of
it. So what fails here was refused by the kernel.
"""
import ctypes
import json
import os
import sys
from contextlib import contextmanager
from types import SimpleNamespace

#: Paths, ports and names that the host has laid out: see support/attacks.mjs.
arena = SimpleNamespace(**json.loads(sys.argv[1]))
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def syscall(number, *args):
    """A system call by its number. Integers, bytes and ctypes objects; an OSError with its errno when it fails."""
    given = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    return check(libc.syscall(ctypes.c_long(number), *given))


def read(path, limit=1 << 20):
    fd = check(libc.open(os.fsencode(path), os.O_RDONLY | os.O_NONBLOCK))
    buffer = ctypes.create_string_buffer(limit)
    size = check(libc.read(fd, buffer, limit))
    libc.close(fd)
    return buffer.raw[:size]


def write(path, data, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC):
    fd = check(libc.open(os.fsencode(path), flags, 0o666))
    check(libc.write(fd, data, len(data)))
    libc.close(fd)


def mark():
    """Puts the proof where the command line is: the host looks there for what is left of an attack (proc_pid_stat(5), 48)."""
    arguments = int(read("/proc/self/stat").rpartition(b") ")[2].split()[45])
    ctypes.memmove(arguments, arena.proof.encode(), len(arena.proof))


def loot(data):
    """Carries data out. The host looks whether its secret is among it."""
    print("loot:", data, flush=True)


def won():
    """For what has no trace on the host: says that it was done."""
    print(arena.proof, flush=True)


def fork(child):
    """Runs `child` in a child process; its exit code, or minus the signal that ended it."""
    pid = check(libc.fork())
    if pid == 0:
        try:
            child()
            os._exit(0)
        except BaseException as error:
            print("child:", type(error).__name__, error, flush=True)
            os._exit(1)
    status = ctypes.c_int()
    check(libc.waitpid(pid, ctypes.byref(status), 0))
    return os.waitstatus_to_exitcode(status.value)


def execute(*command):
    """Runs a program in a child process; its exit code, 99 when it could not be executed."""
    arguments = (ctypes.c_char_p * (len(command) + 1))(*[os.fsencode(part) for part in command])
    return fork(lambda: (libc.execv(arguments[0], arguments), os._exit(99)))


@contextmanager
def attempt(what=""):
    """One try of several. A refusal is printed, and the next one is tried."""
    try:
        yield
    except OSError as error:
        print("refused:", what, error, flush=True)


mark()
