"""Connects to a unix socket of the host's, with bits above 32 in the arguments, which the kernel does not read.

group: system calls
effect: connects
read: granted
write: granted
"""
SOCKET, CONNECT, SOCKETPAIR = 41, 42, 53
AF_UNIX, SOCK_STREAM, SOCK_DGRAM = 1, 1, 2
address = b"\1\0" + (arena.directory + "/granted/listener.sock").encode() + b"\0"
pair = (ctypes.c_int * 2)()

for high in (0, 1 << 32, 0xFFFF_FFFF << 32, 1 << 63):
    with attempt(f"socket {high:#x}"):
        syscall(CONNECT, syscall(SOCKET, high | AF_UNIX, SOCK_STREAM, 0), address, len(address))
    with attempt(f"type {high:#x}"):
        syscall(CONNECT, syscall(SOCKET, AF_UNIX, high | SOCK_STREAM, high), address, len(address))
    with attempt(f"socketpair {high:#x}"):
        syscall(SOCKETPAIR, high | AF_UNIX, high | SOCK_DGRAM, 0, pair)
        syscall(CONNECT, pair[0], address, len(address))
