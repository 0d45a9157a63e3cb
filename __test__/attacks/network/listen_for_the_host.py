"""Listens where others than itself could connect: bound to every address, to the host's, and without having bound at all.

group: sockets
effect: listens
allow: web.example.com:80
asks: web.example.com
reaches: tcp 93.184.216.34:80
"""
listeners = []
for host, port in (("0.0.0.0", 18999), ("::", 18998), (arena.web, 18997), ("127.0.0.1", 18996), ("169.254.1.1", 18995), ("0.0.0.0", None), ("::", None)):
    with attempt(f"{host} {port}"):
        fd = open_socket(host, seconds=1)
        set_option(fd, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if port:
            bind(fd, host, port)
        check(libc.listen(fd, 16))
        listeners.append(fd)
time.sleep(2 * arena.slowness)
for fd in listeners:
    with attempt("accept"):
        check(libc.accept(fd, None, None))
        won()
