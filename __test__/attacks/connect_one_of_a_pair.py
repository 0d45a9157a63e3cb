"""Turns one end of a socket pair, which it may have, towards a socket of the host's.

group: unix sockets
effect: connects
read: granted
write: granted
"""
import socket

SYS_SENDTO, SYS_CONNECT, SYS_BIND, SYS_LISTEN, SYS_SOCKETPAIR = 44, 42, 49, 50, 53
RAW, UPPER_HALF = 3, 1 << 32
unix = socket.AF_UNIX.to_bytes(2, "little")
targets = {
    "path": unix + os.fsencode(arena.directory + "/granted/listener.sock") + b"\0",
    "abstract": unix + b"\0" + arena.abstract.encode(),
    "abstract datagrams": unix + b"\0" + arena.abstract.encode() + b"-datagrams",
}
nobody = bytes(16)
for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM, RAW, socket.SOCK_DGRAM | UPPER_HALF):
    for protocol in (0, 1):
        for what, address in targets.items():
            with attempt(f"pair of kind {kind}"):
                pair = (ctypes.c_int * 2)()
                syscall(SYS_SOCKETPAIR, socket.AF_UNIX, kind, protocol, pair)
                for step in (
                    lambda: syscall(SYS_CONNECT, pair[0], address, len(address)),
                    lambda: syscall(SYS_SENDTO, pair[0], b"x", 1, 0, address, len(address)),
                    lambda: syscall(SYS_BIND, pair[0], unix, 2),
                    lambda: syscall(SYS_LISTEN, pair[0], 1),
                    lambda: syscall(SYS_CONNECT, pair[0], nobody, len(nobody)),
                    lambda: check(libc.close(pair[1])),
                    lambda: syscall(SYS_CONNECT, pair[0], address, len(address)),
                    lambda: syscall(SYS_SENDTO, pair[0], b"x", 1, 0, address, len(address)),
                ):
                    with attempt(f"{kind} to {what}"):
                        step()
                libc.close(pair[0])
