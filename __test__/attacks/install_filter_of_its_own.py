"""Installs a filter of its own with a listener, which would answer system calls in the kernel's place.

group: system calls
effect: proves
"""
SECCOMP, PRCTL, SET_MODE_FILTER = 317, 157, 1
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, MODE_FILTER = 38, 22, 2
TSYNC, LOG, NEW_LISTENER, TSYNC_ESRCH = 1, 2, 8, 16
RET_ALLOW = 0x7FFF0000

instruction = (ctypes.c_uint64 * 1)(0x06 | RET_ALLOW << 32)
program = (ctypes.c_uint64 * 2)(1, ctypes.addressof(instruction))
for flags in (0, TSYNC, LOG, NEW_LISTENER, NEW_LISTENER | TSYNC | TSYNC_ESRCH):
    def install():
        check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        syscall(SECCOMP, SET_MODE_FILTER, flags, program)
    if fork(install) == 0:
        won()
if fork(lambda: syscall(PRCTL, PR_SET_SECCOMP, MODE_FILTER, program)) == 0:
    won()
