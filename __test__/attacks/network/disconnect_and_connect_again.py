"""Connects to an allowed host, dissolves that, and connects the same socket elsewhere; likewise datagrams.

group: sockets
effect: connects
allow: web.example.com:80
asks: web.example.com
reaches: tcp 93.184.216.34:80
"""
UNSPEC = bytes(16)
for host, port in ((arena.evil, 80), ("127.0.0.1", 8000), (arena.web, 8000)):
    for kind in (TCP, UDP):
        with attempt(f"{host} {kind}"):
            fd = open_socket("0.0.0.0", kind, seconds=2)
            with attempt("the allowed one"):
                connect(fd, resolve("web.example.com")[0], 80)
            check(libc.connect(fd, UNSPEC, len(UNSPEC)))
            connect(fd, host, port)
            send(fd, b"GET / HTTP/1.0\r\n\r\n")
    # And from a listener, or with the family left out of the address.
    with attempt(f"{host} from a listener"):
        fd = open_socket()
        check(libc.listen(fd, 1))
        check(libc.connect(fd, UNSPEC, len(UNSPEC)))
        connect(fd, host, port)
    with attempt(f"{host} without family"):
        where = b"\0\0" + address(host, port)[2:]
        check(libc.connect(open_socket("0.0.0.0", UDP), where, len(where)))
