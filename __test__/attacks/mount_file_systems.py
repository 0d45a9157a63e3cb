"""Mounts file systems of several kinds over directories that it sees and may write.

group: namespaces, mounts, ids
effect: proves
write: granted
control: unshare --mount
"""
MOUNT, UMOUNT2, MNT_DETACH = 165, 166, 2
MS_BIND, MS_REC, MS_MOVE = 0x1000, 0x4000, 0x2000
granted = (arena.directory + "/granted").encode()
layers = b"lowerdir=/usr,upperdir=%b/upper,workdir=%b/work,userxattr" % (granted, granted)

with attempt("directories"):
    for name in (b"/upper", b"/work"):
        check(libc.mkdir(granted + name, 0o777))
for source, kind, flags, data in (
    (b"none", b"tmpfs", 0, None), (b"none", b"proc", 0, None), (b"none", b"sysfs", 0, None),
    (b"none", b"devpts", 0, None),
    (b"none", b"mqueue", 0, None), (b"none", b"cgroup2", 0, None), (b"none", b"overlay", 0, layers),
    (b"/", None, MS_BIND, None), (b"/", None, MS_BIND | MS_REC, None), (b"/proc", None, MS_MOVE, None),
):
    for target in (granted, b"/tmp", b"/dev/shm"):
        with attempt(f"{kind or source} at {target}"):
            syscall(MOUNT, source, target, kind, flags, data)
            won()
            syscall(UMOUNT2, target, MNT_DETACH)  # or it would hide what the next one needs
