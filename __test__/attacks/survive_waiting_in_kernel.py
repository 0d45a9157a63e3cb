"""Leaves processes behind that wait in the kernel without a signal reaching them: a chain of parents in vfork.

group: survivors
effect: survives
"""
import signal, time

CLONE, CLONE_VFORK = 56, 0x4000

if libc.fork() == 0:
    os.setsid()
    for _ in range(5):
        # The parent goes on when its child has ended, and not before.
        if syscall(CLONE, CLONE_VFORK | signal.SIGCHLD, 0, 0, 0, 0) != 0:
            os._exit(0)
    time.sleep(60)
time.sleep(0.05)
