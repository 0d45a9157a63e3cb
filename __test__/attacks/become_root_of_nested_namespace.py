"""Becomes root, with all capabilities, of a user namespace of its own, and mounts there.

group: namespaces, mounts, ids
effect: proves
"""
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000

def nest():
    uid, gid = os.getuid(), os.getgid()
    check(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS))
    with attempt("setgroups"):
        write("/proc/self/setgroups", b"deny", os.O_WRONLY)
    write("/proc/self/uid_map", b"0 %d 1" % uid, os.O_WRONLY)
    write("/proc/self/gid_map", b"0 %d 1" % gid, os.O_WRONLY)
    check(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))

if fork(nest) == 0:
    won()
