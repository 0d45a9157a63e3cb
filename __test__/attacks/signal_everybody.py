"""Sends signals to all processes that there are.

group: signals
effect: signals
control: none it would reach every process of this machine
"""
import signal

KILL = 62
signal.signal(signal.SIGURG, signal.SIG_IGN)
signal.signal(signal.SIGWINCH, signal.SIG_IGN)
for everybody in (-1, 0xFFFF_FFFF, 1 << 32 | 0xFFFF_FFFF):
    for number in (signal.SIGURG, signal.SIGWINCH):
        with attempt(everybody):
            syscall(KILL, everybody, number)
