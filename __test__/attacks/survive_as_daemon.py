"""Leaves a daemon behind: forked twice, in a session of its own, deaf to every signal.

group: survivors
effect: survives
"""
import signal, time

def daemon():
    os.setsid()
    if libc.fork() == 0:
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        for fd in range(20):
            libc.close(fd)
        time.sleep(60)

fork(daemon)
