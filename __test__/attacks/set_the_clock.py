"""Sets the machine's clock: to the time that it shows, so that only the permission counts.

group: namespaces, mounts, ids
effect: proves
control: root
"""
import time

ADJTIMEX, SETTIMEOFDAY, CLOCK_SETTIME, CLOCK_ADJTIME = 159, 164, 227, 305
CLOCK_REALTIME, ADJ_TICK = 0, 0x4000
timex = (ctypes.c_long * 26)()

def now(unit):
    seconds, rest = divmod(time.time_ns(), 10**9)
    return (ctypes.c_long * 2)(seconds, rest // unit)

with attempt("clock_settime"):
    syscall(CLOCK_SETTIME, CLOCK_REALTIME, now(1))
    won()
with attempt("settimeofday"):
    syscall(SETTIMEOFDAY, now(1000), None)
    won()
with attempt("adjtimex"):
    syscall(ADJTIMEX, timex)  # without a mode it only reads
    timex[0] = ADJ_TICK
    syscall(ADJTIMEX, timex)
    won()
with attempt("clock_adjtime"):
    timex[0] = ADJ_TICK
    syscall(CLOCK_ADJTIME, CLOCK_REALTIME, timex)
    won()
