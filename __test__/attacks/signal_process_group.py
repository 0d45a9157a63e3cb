"""Sends signals to its own process group, and to the one of a process of the host, after it has joined it.

group: signals
effect: signals
"""
import signal

KILL, SETPGID, GETPGID = 62, 109, 121

with attempt("its own group"):
    syscall(KILL, 0, signal.SIGURG)
with attempt("the host's group"):
    group = syscall(GETPGID, arena.victim)
    syscall(SETPGID, 0, group)
    syscall(KILL, -group, signal.SIGURG)
with attempt("the group that a process of the host would lead"):
    syscall(KILL, -arena.victim, signal.SIGURG)
