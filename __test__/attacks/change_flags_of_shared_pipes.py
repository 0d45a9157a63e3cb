"""Changes flags, owners and sizes of the pipes that it shares with the host, so that the host would block.

group: inherited descriptors
effect: changes the host
control: none a pipe's flags belong to one of its ends
"""
import fcntl, signal

F_SETSIG, F_NOTIFY, DN_ALL = 10, 1026, 0x8000003F

for fd in range(8):
    refused, reading = [], False
    # The flags of a reading end touch nobody but who reads there: the harness, which would end.
    with attempt(f"flags of {fd}"):
        reading = check(libc.fcntl(fd, fcntl.F_GETFL)) & os.O_ACCMODE == os.O_RDONLY
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
            try:
                if target != fd:
                    target = check(libc.open(target.encode(), os.O_RDWR | os.O_NONBLOCK))
                elif reading and call[0] == fcntl.F_SETFL:
                    continue
                check(libc.fcntl(target, *call))
            except OSError as error:
                refused.append(f"{name} {target}: {error}")
    # Not before the pipes block again: the harness ends when it cannot tell the host of output.
    print("refused:", *refused, sep="\n", flush=True)
