"""Makes what it may only read writable again, by remounting it, and writes there.

group: namespaces, mounts, ids
effect: writes
read: closed
control: unshare --mount
"""
MOUNT, MOUNT_SETATTR = 165, 442
AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = -100, 0x8000, 1
MS_REMOUNT, MS_BIND = 0x20, 0x1000
closed = arena.directory + "/closed"
writable = (ctypes.c_uint64 * 4)(0, MOUNT_ATTR_RDONLY)

with attempt("remount of the file system"):
    syscall(MOUNT, None, closed.encode(), None, MS_REMOUNT, None)
for path in (closed, "/"):
    with attempt(f"remount {path}"):
        syscall(MOUNT, None, path.encode(), None, MS_REMOUNT | MS_BIND, None)
    for flags in (0, AT_RECURSIVE):
        with attempt(f"mount_setattr {path}"):
            syscall(MOUNT_SETATTR, AT_FDCWD, path.encode(), flags, writable, ctypes.sizeof(writable))
with attempt("write"):
    write(closed + "/secret", b"overwritten")
with attempt("plant"):
    write(closed + "/planted", b"planted")
