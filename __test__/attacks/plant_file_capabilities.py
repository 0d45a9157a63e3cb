"""Plants a program with capabilities of its own.

group: set-uid bits
effect: writes
read: granted
write: granted
control: root
"""
import struct

SYS_SETXATTRAT, AT_FDCWD, REVISION_2, REVISION_3, EFFECTIVE, ALL = 463, -100, 0x02000000, 0x03000000, 1, 0xFFFFFFFF
program = os.fsencode(arena.directory + "/granted/program")
write(program, b"#!/bin/sh\n")
fd = check(libc.open(program, os.O_RDWR))
of_anybody = struct.pack("<5I", REVISION_2 | EFFECTIVE, ALL, 0, ALL, 0)
of_roots = [struct.pack("<6I", REVISION_3 | EFFECTIVE, ALL, 0, ALL, 0, root) for root in (0, 1000)]
for capabilities in (of_anybody, *of_roots):
    buffer = ctypes.create_string_buffer(capabilities)
    value = struct.pack("QII", ctypes.addressof(buffer), len(capabilities), 0)
    for what, call in {
        "setxattr": lambda: libc.setxattr(program, b"security.capability", capabilities, len(capabilities), 0),
        "lsetxattr": lambda: libc.lsetxattr(program, b"security.capability", capabilities, len(capabilities), 0),
        "fsetxattr": lambda: libc.fsetxattr(fd, b"security.capability", capabilities, len(capabilities), 0),
        "setxattrat": lambda: syscall(SYS_SETXATTRAT, AT_FDCWD, program, 0, b"security.capability", value, len(value)),
    }.items():
        with attempt(what):
            check(call())
