"""Makes files of the grant such that the host cannot change or remove them.

group: set-uid bits
effect: writes
read: granted
write: granted
control: root
"""
import struct

SYS_FILE_SETATTR, AT_FDCWD = 469, -100
FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR, FS_IOC32_SETFLAGS = 0x40086602, 0x401C5820, 0x40046602
FS_IMMUTABLE, FS_APPEND, FS_XFLAG_IMMUTABLE, FS_XFLAG_APPEND = 0x10, 0x20, 0x8, 0x10
granted = os.fsencode(arena.directory + "/granted")
for name in (b"/mine", b"/own", b""):
    path = granted + name
    if name == b"/own":
        write(path, b"own")
    fd = check(libc.open(path, os.O_RDONLY))
    for flag, xflag in ((FS_IMMUTABLE, FS_XFLAG_IMMUTABLE), (FS_APPEND, FS_XFLAG_APPEND)):
        flags, attributes = struct.pack("Q", flag), struct.pack("I24x", xflag)
        for what, call in {
            "FS_IOC_SETFLAGS": lambda: libc.ioctl(fd, FS_IOC_SETFLAGS, flags),
            "FS_IOC32_SETFLAGS": lambda: libc.ioctl(fd, FS_IOC32_SETFLAGS, flags),
            "FS_IOC_FSSETXATTR": lambda: libc.ioctl(fd, FS_IOC_FSSETXATTR, attributes),
            "file_setattr": lambda: syscall(SYS_FILE_SETATTR, AT_FDCWD, path, attributes, 24, 0),
        }.items():
            with attempt(f"{what} of {name}"):
                check(call())
