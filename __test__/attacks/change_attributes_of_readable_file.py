"""Changes mode, owner, times, extended attributes and flags of a file that it may only read.

group: files and links
effect: writes
read: granted
"""
import struct

SYS_FCHMODAT2, SYS_SETXATTRAT, SYS_FILE_SETATTR, AT_FDCWD, AT_EMPTY_PATH = 452, 463, 469, -100, 0x1000
FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR, FS_NODUMP = 0x40086602, 0x401C5820, 0x40
FS_XFLAG_NODUMP = 0x80
granted = os.fsencode(arena.directory + "/granted")
times = struct.pack("qqqq", 1, 0, 1, 0)
uid, gid = os.getuid(), os.getgid()
for path in (granted + b"/mine", granted):
    readable, only = check(libc.open(path, os.O_RDONLY)), check(libc.open(path, os.O_PATH))
    by_descriptor = b"/proc/self/fd/%d" % only
    flags, attributes = struct.pack("l", FS_NODUMP), struct.pack("IIIII8x", FS_XFLAG_NODUMP, 0, 0, 0, 0)
    value = struct.pack("QII", ctypes.addressof(ctypes.c_char_p(b"x")), 1, 0)
    for what, call in {
        "chmod": lambda: libc.chmod(path, 0o777),
        "fchmod": lambda: libc.fchmod(readable, 0o777),
        "chmod by descriptor": lambda: libc.chmod(by_descriptor, 0o777),
        "fchmodat2": lambda: syscall(SYS_FCHMODAT2, only, b"", 0o777, AT_EMPTY_PATH),
        "chown": lambda: libc.chown(path, uid, gid),
        "fchown": lambda: libc.fchown(readable, uid, gid),
        "fchownat": lambda: libc.fchownat(only, b"", uid, gid, AT_EMPTY_PATH),
        "utimensat": lambda: libc.utimensat(AT_FDCWD, path, times, 0),
        "futimens": lambda: libc.futimens(readable, times),
        "setxattr": lambda: libc.setxattr(path, b"user.planted", b"x", 1, 0),
        "fsetxattr": lambda: libc.fsetxattr(readable, b"user.planted", b"x", 1, 0),
        "setxattrat": lambda: syscall(SYS_SETXATTRAT, AT_FDCWD, path, 0, b"user.planted", value, len(value)),
        "removexattr": lambda: libc.removexattr(path, b"user.planted"),
        "FS_IOC_SETFLAGS": lambda: libc.ioctl(readable, FS_IOC_SETFLAGS, flags),
        "FS_IOC_FSSETXATTR": lambda: libc.ioctl(readable, FS_IOC_FSSETXATTR, attributes),
        "file_setattr": lambda: syscall(SYS_FILE_SETATTR, AT_FDCWD, path, attributes, 24, 0),
    }.items():
        with attempt(what):
            check(call())
