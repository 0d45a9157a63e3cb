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
    # Of the root without MNT_DETACH the kernel makes a read-only remount of its file system: in the control, the host's.
    for flags in (MNT_DETACH, MNT_DETACH | UMOUNT_NOFOLLOW) if path == "/" else (0, MNT_FORCE, MNT_DETACH):
        with attempt(f"{path} {flags}"):
            syscall(UMOUNT2, path.encode(), flags)
            won()
