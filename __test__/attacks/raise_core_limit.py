"""Raises the limit of its core files, by every call that sets limits, and for its parent as well.

group: resources
effect: proves
"""
GETRLIMIT, SETRLIMIT, PRLIMIT64, RLIMIT_CORE = 97, 160, 302, 4
limits = (ctypes.c_ulong * 2)()

for size in (-1, 1 << 20, 2):
    raised = (ctypes.c_ulong * 2)(size, size)
    with attempt(f"setrlimit {size}"):
        syscall(SETRLIMIT, RLIMIT_CORE, raised)
    for pid in (0, os.getpid(), os.getppid()):
        with attempt(f"prlimit64 {pid} {size}"):
            syscall(PRLIMIT64, pid, RLIMIT_CORE, raised, None)
syscall(GETRLIMIT, RLIMIT_CORE, limits)
print("limits:", *limits)
# One byte is none: with it, no core handler is started either (core(5)).
if limits[0] > 1:
    won()
