"""Gives a file of the grant to other users and groups, who would then be taken for its authors.

group: set-uid bits
effect: writes
read: granted
write: granted
control: root
"""
granted = os.fsencode(arena.directory + "/granted")
AT_FDCWD, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW = -100, 0x1000, 0x100
own = granted + b"/own"
write(own, b"#!/bin/sh\n")
for path in (own, granted + b"/mine", granted + b"/link", granted):
    fd = libc.open(path, os.O_RDONLY)
    for uid, gid in ((0, 0), (1, 1), (1000, 1000), (65534, 65534), (-1, 0), (-1, 1), (0, -1), (1, -1)):
        for what, call in {
            "chown": lambda: libc.chown(path, uid, gid),
            "lchown": lambda: libc.lchown(path, uid, gid),
            "fchown": lambda: libc.fchown(fd, uid, gid),
            "fchownat": lambda: libc.fchownat(AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW),
            "fchownat, empty": lambda: libc.fchownat(fd, b"", uid, gid, AT_EMPTY_PATH),
        }.items():
            with attempt(f"{what} {path} {uid}:{gid}"):
                check(call())
