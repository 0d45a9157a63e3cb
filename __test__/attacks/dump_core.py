"""Crashes in a directory that it may write, so that a core file appears there or the host's core handler is fed.

group: resources
effect: proves
read: granted
write: granted
"""
import signal

SETRLIMIT, PRLIMIT64, RLIMIT_CORE, CORE_DUMPED = 160, 302, 4, 0x80
granted = arena.directory + "/granted"

def crash(number):
    check(libc.chdir(granted.encode()))
    for limit in (-1, 1 << 30):
        limits = (ctypes.c_ulong * 2)(limit, limit)
        for resource in (RLIMIT_CORE, 1 << 32 | RLIMIT_CORE):
            with attempt(f"setrlimit {limit}"):
                syscall(SETRLIMIT, resource, limits)
            with attempt(f"prlimit64 {limit}"):
                syscall(PRLIMIT64, 0, resource, limits, None)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)

for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGQUIT, signal.SIGSYS):
    pid = check(libc.fork())
    if pid == 0:
        crash(number)
    status = ctypes.c_int()
    check(libc.waitpid(pid, ctypes.byref(status), 0))
    if status.value & CORE_DUMPED:
        won()
if any(name.startswith("core") for name in os.listdir(granted)):
    won()
