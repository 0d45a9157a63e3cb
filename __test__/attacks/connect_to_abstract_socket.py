"""Connects to an abstract unix socket of the host's, as stream and as datagram.

group: unix sockets
effect: connects
"""
import socket

with attempt("stream"):
    socket.socket(socket.AF_UNIX).connect("\0" + arena.abstract)
with attempt("datagram"):
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"x", "\0" + arena.abstract + "-datagrams")
with attempt("datagram pair"):
    one, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.connect("\0" + arena.abstract + "-datagrams")
    one.send(b"x")
