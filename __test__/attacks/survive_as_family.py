"""Leaves a family behind: processes that fork on, each in a session of its own, deaf to every signal.

group: survivors
effect: survives
"""
import signal, time

def family(depth):
    os.setsid()
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    for _ in range(2 if depth else 0):
        if libc.fork() == 0:
            family(depth - 1)
    time.sleep(60)

if libc.fork() == 0:
    family(5)
time.sleep(0.1)
