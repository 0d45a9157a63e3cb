"""Sends signals to a process of the host by its number, by every call that sends one.

group: signals
effect: signals
"""
import signal

TKILL, RT_SIGQUEUEINFO, TGKILL, RT_TGSIGQUEUEINFO, PIDFD_SEND_SIGNAL, PIDFD_OPEN = 200, 129, 234, 297, 424, 434
TIMER_CREATE, SIGEV_THREAD_ID, SI_QUEUE = 222, 4, -1
victim, number = arena.victim, int(signal.SIGUSR1)
info = (ctypes.c_int * 32)(number, 0, SI_QUEUE, 0)

for name, call in {
    "kill": (62, victim, number),
    "kill, high bits": (62, 1 << 32 | victim, number),
    "tkill": (TKILL, victim, number),
    "tgkill": (TGKILL, victim, victim, number),
    "rt_sigqueueinfo": (RT_SIGQUEUEINFO, victim, number, info),
    "rt_tgsigqueueinfo": (RT_TGSIGQUEUEINFO, victim, victim, number, info),
}.items():
    with attempt(name):
        syscall(*call)
with attempt("pidfd_send_signal"):
    syscall(PIDFD_SEND_SIGNAL, syscall(PIDFD_OPEN, victim, 0), number, None, 0)
with attempt("pidfd of /proc"):
    syscall(PIDFD_SEND_SIGNAL, check(libc.open(f"/proc/{victim}".encode(), os.O_DIRECTORY)), number, None, 0)
with attempt("a timer of the kernel's"):
    event = (ctypes.c_int * 16)(0, 0, number, SIGEV_THREAD_ID, victim)
    syscall(TIMER_CREATE, 0, event, ctypes.byref(ctypes.c_int()))
with attempt("the host itself, whether it is there"):
    syscall(62, arena.host, 0)
    won()
