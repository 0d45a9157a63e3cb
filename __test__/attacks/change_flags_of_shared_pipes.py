"""Changes flags, owners and sizes of the pipes that it shares with the host, so that the host would block.

group: inherited descriptors
effect: changes the host
control: none a pipe's flags belong to one of its ends
"""
import fcntl, signal

F_SETSIG, F_NOTIFY, DN_ALL = 10, 1026, 0x8000003F

for fd in range(8):
    for name, *call in (
        ("non-blocking", fcntl.F_SETFL, os.O_NONBLOCK),
        ("direct and asynchronous", fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC | os.O_DIRECT),
        ("owner", fcntl.F_SETOWN, arena.host),
        ("owning group", fcntl.F_SETOWN, -arena.host),
        ("signal", F_SETSIG, signal.SIGKILL),
        ("notification", F_NOTIFY, DN_ALL),
        ("smallest", fcntl.F_SETPIPE_SZ, 4096),
        ("largest", fcntl.F_SETPIPE_SZ, 1 << 20),
        ("blocking again", fcntl.F_SETFL, 0),
    ):
        for target in (fd, f"/proc/self/fd/{fd}"):
            with attempt(f"{name} {target}"):
                if target != fd:
                    target = check(libc.open(target.encode(), os.O_RDWR | os.O_NONBLOCK))
                check(libc.fcntl(target, *call))
