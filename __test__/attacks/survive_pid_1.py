"""Leaves a daemon behind, and kills or stops PID 1 of the sandbox, which would end it.

group: survivors
effect: survives
control: none PID 1 is the init of this machine there
"""
import signal, time

KILL, RT_SIGQUEUEINFO, PIDFD_SEND_SIGNAL, PIDFD_OPEN = 62, 129, 424, 434

if libc.fork() == 0:
    os.setsid()
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    time.sleep(60)
time.sleep(0.05)
info = (ctypes.c_int * 32)(0, 0, -1)
for number in sorted(set(signal.Signals)):
    with attempt(f"kill {number}"):
        syscall(KILL, 1, number)
    with attempt(f"rt_sigqueueinfo {number}"):
        info[0] = number
        syscall(RT_SIGQUEUEINFO, 1, number, info)
    with attempt(f"pidfd {number}"):
        syscall(PIDFD_SEND_SIGNAL, syscall(PIDFD_OPEN, 1, 0), number, None, 0)
