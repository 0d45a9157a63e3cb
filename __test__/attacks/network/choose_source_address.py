"""Binds its sockets to addresses that are not its own before it connects: private ones, the proxy's, a name server's, loopback.

group: sockets
effect: connects
allow: web.example.com:80
asks: web.example.com
reaches: tcp 93.184.216.34:80
"""
IP_TRANSPARENT, IP_FREEBIND, IPV6_FREEBIND = 19, 15, 78
for source in (arena.private, "127.0.0.1", "169.254.1.1", "169.254.1.2", arena.foreignResolver, arena.evil, "::ffff:10.1.2.3", "::1", arena.six):
    for option in (None, IP_FREEBIND, IP_TRANSPARENT):
        for host, port in ((arena.evil, 80), ("::ffff:" + arena.evil, 80), (arena.evilSix, 80), ("127.0.0.1", 8000)):
            if (":" in source) != (":" in host):
                continue
            for kind in (TCP, UDP):
                with attempt(f"{source} to {host}"):
                    fd = open_socket(host, kind, seconds=2)
                    if option:
                        with attempt(option):
                            set_option(fd, socket.IPPROTO_IPV6 if ":" in host else socket.IPPROTO_IP, IPV6_FREEBIND if ":" in host else option, 1)
                    connect(bind(fd, source), host, port)
                    send(fd, b"GET / HTTP/1.0\r\n\r\n")
                    libc.close(fd)
