"""Changes the limits of PID 1 and of a process of the host, and lifts its own.

group: system calls
effect: proves
"""
PRLIMIT64, NPROC, NOFILE, CORE = 302, 6, 7, 4
few = (ctypes.c_uint64 * 2)(3, 4096)
unlimited = (ctypes.c_uint64 * 2)(-1, -1)

for pid in (os.getppid() if os.getppid() == 1 else arena.victim, arena.victim, 1 << 32 | arena.victim):
    with attempt(f"of {pid}"):
        syscall(PRLIMIT64, pid, NOFILE, few, None)
        won()
for resource in (NPROC, CORE, 1 << 32 | CORE):
    with attempt(f"own {resource}"):
        syscall(PRLIMIT64, 0, resource, unlimited, None)
        won()
