"""Makes new namespaces of every kind, by unshare, clone and clone3.

group: namespaces, mounts, ids
effect: proves
"""
import signal

CLONE, UNSHARE, CLONE3 = 56, 272, 435
KINDS = {
    "user": 0x10000000, "mount": 0x20000, "pid": 0x20000000, "net": 0x40000000,
    "ipc": 0x08000000, "uts": 0x04000000, "cgroup": 0x02000000, "time": 0x80,
}
HIGH_BITS = 0x7FFF_FFFF << 32

def clone(number, *args):
    pid = syscall(number, *args)
    if pid == 0:
        os._exit(0)
    libc.waitpid(pid, None, 0)
    won()

for kind, flag in KINDS.items():
    # Alone, and behind a user namespace, in which an ordinary user may make the others.
    for flags in {flag, flag | KINDS["user"]}:
        if fork(lambda: syscall(UNSHARE, flags)) == 0:
            won()
        with attempt(f"clone3 {kind}"):
            arguments = (ctypes.c_uint64 * 11)(flags, 0, 0, 0, signal.SIGCHLD)
            clone(CLONE3, arguments, ctypes.sizeof(arguments))
        if kind == "time":
            continue  # in clone's flags this bit is of the signal's number
        with attempt(f"clone {kind}"):
            clone(CLONE, flags | signal.SIGCHLD, 0, 0, 0, 0)
        with attempt(f"clone {kind}, bits above 32"):
            clone(CLONE, HIGH_BITS | flags | signal.SIGCHLD, 0, 0, 0, 0)
