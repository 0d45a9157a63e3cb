"""Connects by a socket that another process made and passed on, and has a child connect its parent's, to confuse who is asked.

group: sockets
effect: connects
allow: web.example.com:80
asks: web.example.com
reaches: tcp 93.184.216.34:80
"""
import array

one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)

def child():
    for _ in range(4):
        fd = open_socket(seconds=5)
        one.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
    for fd in mine:
        with attempt("the parent's"):
            send(connect(fd, arena.evil, 80), b"GET / HTTP/1.0\r\n\r\n")

mine = [open_socket(seconds=5) for _ in range(4)]
fork(child)
for _ in range(4):
    fds = array.array("i")
    _, (rights, *_), *_ = other.recvmsg(1, socket.CMSG_LEN(4))
    fds.frombytes(rights[2])
    with attempt("the child's"):
        send(connect(fds[0], arena.evil, 80), b"GET / HTTP/1.0\r\n\r\n")
