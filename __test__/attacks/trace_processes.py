"""Traces its child, its parent and a process of the host, and lets itself be traced.

group: system calls
effect: proves
"""
import signal, time

PTRACE, TRACEME, ATTACH, SEIZE = 101, 0, 16, 0x4206

child = check(libc.fork())
if child == 0:
    time.sleep(5)
    os._exit(0)
# In the sandbox its parent is PID 1.
for pid in (child, arena.victim, os.getppid()):
    with attempt(f"seize {pid}"):
        syscall(PTRACE, SEIZE, pid, 0, 0)
        won()
with attempt("attach"):
    syscall(PTRACE, ATTACH, child, 0, 0)
    won()
os.kill(child, signal.SIGKILL)
if fork(lambda: syscall(PTRACE, TRACEME, 0, 0, 0)) == 0:
    won()
