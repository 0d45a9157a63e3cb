"""Puts itself before the host's processes: real time, negative niceness, disk priority, locked memory, pages of others.

group: system calls
effect: proves
control: root
"""
SETPRIORITY, SCHED_SETSCHEDULER, MLOCKALL, IOPRIO_SET, MIGRATE_PAGES, SCHED_SETATTR = 141, 144, 151, 251, 256, 314
PRIO_PROCESS, PRIO_USER, FIFO, DEADLINE, REAL_TIME_DISK = 0, 2, 1, 6, 1 << 13
priority = (ctypes.c_int * 1)(1)
# size, policy, flags (64), niceness, priority; runtime, deadline and period of 64 bits each
deadline = (ctypes.c_uint32 * 12)(48, DEADLINE, 0, 0, 0, 0, 1_000_000, 0, 2_000_000, 0, 2_000_000, 0)
node = (ctypes.c_ulong * 1)(1)

CALLS = {
    "real time": (SCHED_SETSCHEDULER, 0, FIFO, priority),
    "real time, high bits": (SCHED_SETSCHEDULER, 0, 1 << 32 | FIFO, priority),
    "deadline": (SCHED_SETATTR, 0, deadline, 0),
    "niceness": (SETPRIORITY, PRIO_PROCESS, 0, -20),
    "disk": (IOPRIO_SET, 1, 0, REAL_TIME_DISK),
    "all memory locked": (MLOCKALL, 3),
}
if os.getppid() == 1:
    CALLS["niceness of a user"] = (SETPRIORITY, PRIO_USER, 0, -20)
    CALLS["pages of PID 1"] = (MIGRATE_PAGES, 1, 1, node, node)
for name, call in CALLS.items():
    if fork(lambda: syscall(*call)) == 0:
        print("done:", name)
        won()
