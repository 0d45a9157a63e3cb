"""Leaves processes behind that are stopped, and stop again whenever they go on.

group: survivors
effect: survives
"""
import signal, time

def stop_for_ever():
    # In an orphaned process group, stopped processes get SIGHUP and SIGCONT from the kernel.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.setsid()
    while True:
        os.kill(os.getpid(), signal.SIGSTOP)

for _ in range(2):
    if libc.fork() == 0:
        stop_for_ever()
time.sleep(0.05)
