"""Counts performance events of itself, of PID 1 and of the whole machine.

group: system calls
effect: proves
control: root
"""
PERF_EVENT_OPEN = 298
SOFTWARE, CPU_CLOCK, TASK_CLOCK = 1, 0, 1
EXCLUDE_KERNEL = 1 << 5

for config in (CPU_CLOCK, TASK_CLOCK):
    attributes = (ctypes.c_uint64 * 16)(SOFTWARE | 128 << 32, config)
    attributes[5] = EXCLUDE_KERNEL
    for pid, cpu in ((0, -1), (1, -1), (-1, 0)):
        with attempt(f"pid {pid}, processor {cpu}"):
            syscall(PERF_EVENT_OPEN, attributes, pid, cpu, -1, 0)
            won()
