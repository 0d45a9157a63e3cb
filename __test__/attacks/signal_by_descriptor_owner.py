"""Lets the kernel signal the host, as the owner of asynchronous descriptors.

group: signals
effect: signals
"""
import fcntl, signal, struct

F_SETSIG, F_SETOWN_EX, OWNER_PID = 10, 15, 1

def own(fd, set_owner):
    with attempt(f"descriptor {fd}"):
        set_owner(fd)
        fcntl.fcntl(fd, F_SETSIG, signal.SIGUSR1)
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)

for set_owner in (
    lambda fd: fcntl.fcntl(fd, fcntl.F_SETOWN, arena.victim),
    lambda fd: fcntl.fcntl(fd, F_SETOWN_EX, struct.pack("ii", OWNER_PID, arena.victim)),
):
    reader, writer = os.pipe()
    for fd in (reader, 0, 3, 4, 5, 6, 7):
        own(fd, set_owner)
    os.write(writer, b"x")
