"""Uses prctl for what it may not: its memory map, its dumpability, its tracer, its filters, its system calls.

group: system calls
effect: proves
"""
switch = ctypes.create_string_buffer(1)
OPTIONS = {
    "PR_SET_DUMPABLE": (4, 1),
    "PR_SET_SECCOMP, strict": (22, 3),
    "PR_CAPBSET_DROP": (24, 0),
    "PR_SET_TSC": (26, 1),
    "PR_SET_MM, the start of the arguments": (35, 8, ctypes.addressof(switch)),
    "PR_SET_THP_DISABLE": (41, 1),
    "PR_SET_SPECULATION_CTRL": (53, 0, 1 << 1),
    "PR_SET_IO_FLUSHER": (57, 1),
    "PR_SET_SYSCALL_USER_DISPATCH": (59, 0),
    "PR_SCHED_CORE": (62, 1, 0, 1),
    "PR_SET_MDWE": (65, 0),
    "PR_SET_PTRACER, anybody": (0x59616D61, -1),
}
for name, (option, *arguments) in OPTIONS.items():
    for high in (0, 1 << 32):
        with attempt(name):
            syscall(157, high | option, *(arguments + [0] * 4)[:4])
            won()
