"""Attaches a filter or a protocol of the kernel's to a socket that it may have.

group: other sockets
effect: proves
"""
import socket, struct

SYS_SETSOCKOPT, UPPER_HALF = 54, 1 << 32
ATTACH_FILTER, ATTACH_BPF, REUSEPORT_CBPF, REUSEPORT_EBPF, SOL_TCP, TCP_ULP = 26, 50, 51, 52, 6, 31
accept_all = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0xFFFFFFFF))
program = struct.pack("=H6xQ", 1, ctypes.addressof(accept_all))
options = [(socket.SOL_SOCKET, option, program) for option in (ATTACH_FILTER, REUSEPORT_CBPF)]
options += [(socket.SOL_SOCKET, option, bytes(4)) for option in (ATTACH_BPF, REUSEPORT_EBPF)]
options += [(SOL_TCP, TCP_ULP, name) for name in (b"tls", b"espintcp", b"smc", b"mptcp")]
pair = (ctypes.c_int * 2)()
check(libc.socketpair(socket.AF_UNIX, socket.SOCK_STREAM, 0, pair))
kinds = ((2, 1), (2, 2), (10, 1), (10, 2), (16, 3))
sockets = [pair[0], *(check(libc.socket(family, kind, 0)) for family, kind in kinds)]

def sets(fd, level, option, value):
    try:
        return syscall(SYS_SETSOCKOPT, fd, level, option, value, len(value)) == 0
    except OSError:
        return False

# The first that works is enough: a control that tries all would load modules into the kernel.
if any(
    sets(fd, level | upper, option | upper, value)
    for level, option, value in options
    for fd in sockets
    for upper in (0, UPPER_HALF)
):
    won()
