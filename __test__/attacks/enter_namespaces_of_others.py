"""Enters the namespaces of PID 1, of its parent and of a process of the host, by their files and by pidfds.

group: namespaces, mounts, ids
effect: proves
control: root
"""
import fcntl

SETNS, PIDFD_OPEN = 308, 434
NS_GET_USERNS, NS_GET_PARENT = 0xB701, 0xB702
KINDS = {
    "mnt": 0x20000, "cgroup": 0x02000000, "uts": 0x04000000, "ipc": 0x08000000,
    "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000,
}

def enter(fd, kind):
    if fork(lambda: syscall(SETNS, fd, kind)) == 0:
        won()

for pid in (1, os.getppid(), arena.victim):
    for name, kind in KINDS.items():
        with attempt(f"{name} of {pid}"):
            enter(check(libc.open(f"/proc/{pid}/ns/{name}".encode(), os.O_RDONLY)), kind)
    with attempt(f"pidfd of {pid}"):
        pidfd = syscall(PIDFD_OPEN, pid, 0)
        for kind in KINDS.values():
            enter(pidfd, kind)

# From its own to what lies above.
for name in KINDS:
    for request in (NS_GET_USERNS, NS_GET_PARENT):
        with attempt(f"above {name}"):
            own = check(libc.open(f"/proc/self/ns/{name}".encode(), os.O_RDONLY))
            enter(fcntl.ioctl(own, request), 0)
