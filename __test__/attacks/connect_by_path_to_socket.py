"""Connects to a unix socket of the host's outside its grants, by path.

group: unix sockets
effect: connects
"""
import socket

path = os.fsencode(arena.directory + "/listener.sock")
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
    for way in (path, b"/proc/self/root" + path, b"/proc/1/root" + path):
        with attempt(f"{kind.name} to {way}"):
            address = socket.AF_UNIX.to_bytes(2, "little") + way + b"\0"
            check(libc.connect(check(libc.socket(socket.AF_UNIX, kind, 0)), address, len(address)))
