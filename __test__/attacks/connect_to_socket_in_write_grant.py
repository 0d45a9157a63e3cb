"""Connects to a unix socket of the host's in a directory that it may write: by another name, or a link out of the grant.

group: unix sockets
effect: connects
read: granted
write: granted
"""
import socket

granted = os.fsencode(arena.directory + "/granted")
for name, make in {
    b"/hard": lambda path: libc.link(granted + b"/listener.sock", path),
    b"/symlink": lambda path: libc.symlink(b"listener.sock", path),
    b"/outside": lambda path: libc.symlink(b"../listener.sock", path),
    b"/renamed": lambda path: libc.rename(granted + b"/listener.sock", path),
}.items():
    with attempt(name):
        check(make(granted + name))
        for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
            with attempt(kind.name):
                address = socket.AF_UNIX.to_bytes(2, "little") + granted + name + b"\0"
                check(libc.connect(check(libc.socket(socket.AF_UNIX, kind, 0)), address, len(address)))
