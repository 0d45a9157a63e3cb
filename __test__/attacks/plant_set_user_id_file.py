"""Plants a set-user-ID or set-group-ID file, with every call that makes a file or sets its mode.

group: set-uid bits
effect: writes
read: granted
write: granted
"""
import struct

SYS_OPEN, SYS_CREAT, SYS_CHMOD, SYS_FCHMOD, SYS_OPENAT, SYS_MKNOD, SYS_MKNODAT = 2, 85, 90, 91, 257, 133, 259
SYS_FCHMODAT, SYS_FCHMODAT2, SYS_OPENAT2, AT_FDCWD, AT_EMPTY_PATH, S_IFREG = 268, 452, 437, -100, 0x1000, 0o100000
UPPER_HALF, O_CREAT, O_TMPFILE = 1 << 32, os.O_CREAT | os.O_WRONLY, os.O_TMPFILE | os.O_RDWR
granted = os.fsencode(arena.directory + "/granted")
check(libc.chdir(granted))
libc.umask(0)

def linked(fd, name):
    check(libc.linkat(AT_FDCWD, b"/proc/self/fd/%d" % fd, AT_FDCWD, name, 0x400))

def existing(name):
    write(name, b"#!/bin/sh\n")
    return check(libc.open(name, os.O_RDONLY))

for mode in (0o4755, 0o2755, 0o6755, 0o7777, 0o4000, 0o4755 | S_IFREG, 0o4755 | UPPER_HALF, 0o104755 | 1 << 20):
    for what, call in {
        "open": lambda name: syscall(SYS_OPEN, name, O_CREAT, mode),
        "openat": lambda name: syscall(SYS_OPENAT, AT_FDCWD, name, O_CREAT, mode),
        "openat2": lambda name: syscall(SYS_OPENAT2, AT_FDCWD, name, struct.pack("QQQ", O_CREAT, mode, 0), 24),
        "open, unnamed": lambda name: linked(syscall(SYS_OPEN, b".", O_TMPFILE, mode), name),
        "openat, unnamed": lambda name: linked(syscall(SYS_OPENAT, AT_FDCWD, b".", O_TMPFILE | UPPER_HALF, mode), name),
        "creat": lambda name: syscall(SYS_CREAT, name, mode),
        "mknod": lambda name: syscall(SYS_MKNOD, name, S_IFREG | mode, 0),
        "mknodat": lambda name: syscall(SYS_MKNODAT, AT_FDCWD, name, S_IFREG | mode, 0),
        "chmod": lambda name: (existing(name), syscall(SYS_CHMOD, name, mode)),
        "fchmod": lambda name: syscall(SYS_FCHMOD, existing(name), mode),
        "fchmodat": lambda name: (existing(name), syscall(SYS_FCHMODAT, AT_FDCWD, name, mode)),
        "fchmodat2": lambda name: syscall(SYS_FCHMODAT2, existing(name), b"", mode, AT_EMPTY_PATH),
        "chmod by descriptor": lambda name: syscall(SYS_CHMOD, b"/proc/self/fd/%d" % existing(name), mode),
    }.items():
        with attempt(f"{what} {mode:o}"):
            call(f"{what} {mode:o}".encode())
