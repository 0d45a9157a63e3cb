"""Connects to a unix socket of the host's in a directory that it may read, by path, link, descriptor and working directory.

group: unix sockets
effect: connects
read: granted
"""
import socket

SYS_SOCKET, SYS_CONNECT = 41, 42
granted = os.fsencode(arena.directory + "/granted")
directory = check(libc.open(granted, os.O_PATH | os.O_DIRECTORY))
listener = check(libc.open(granted + b"/listener.sock", os.O_PATH))
check(libc.fchdir(directory))
ways = (
    granted + b"/listener.sock", b"listener.sock", b"/proc/self/cwd/listener.sock", b"/proc/self/fd/%d" % listener,
    b"/proc/self/fd/%d/listener.sock" % directory, b"/proc/self/root" + granted + b"/listener.sock",
)
for family in (socket.AF_UNIX, socket.AF_UNIX | 1 << 32):
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM):
        for way in ways:
            with attempt(f"{kind.name} to {way}"):
                address = socket.AF_UNIX.to_bytes(2, "little") + way + b"\0"
                syscall(SYS_CONNECT, syscall(SYS_SOCKET, family, kind, 0), address, len(address))
