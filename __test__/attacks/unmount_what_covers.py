"""Unmounts what covers something: /proc, /dev, /tmp, its grant, and the root itself.

group: namespaces, mounts, ids
effect: proves
read: granted
control: unshare --mount
"""
UMOUNT2 = 166
MNT_FORCE, MNT_DETACH, UMOUNT_NOFOLLOW = 1, 2, 8

COVERED = ("/tmp", "/dev/shm", "/dev/null", "/dev", "/usr", "/etc", "/proc/sys", "/proc", "/.buntime", "/")

for path in (arena.directory + "/granted", *COVERED):
    for flags in (0, MNT_FORCE, MNT_DETACH, MNT_DETACH | UMOUNT_NOFOLLOW):
        with attempt(f"{path} {flags}"):
            syscall(UMOUNT2, path.encode(), flags)
            won()
