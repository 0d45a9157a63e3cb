"""Sends datagrams where no rule allows any: to hosts, broadcast and multicast, connected and not, one by one and many in one call.

group: datagrams
effect: connects
allow: web.example.com, 45.33.32.156:443
asks: web.example.com
"""
SO_BROADCAST, UPPER = 6, 1 << 32
for host in (arena.evil, arena.web, "::ffff:" + arena.evil, arena.evilSix, arena.private, arena.metadata, "255.255.255.255", "224.0.0.251", "ff02::fb", "169.254.255.255"):
    for port in (7, 123, 443, 1900, 5353, 33434, 65535):
        with attempt(f"{host} {port}"):
            fd = open_socket(host, UDP, seconds=1)
            set_option(fd, socket.SOL_SOCKET, SO_BROADCAST, 1)
            where = address(host, port)
            check(libc.sendto(fd, b"x" * 1200, 1200, 0, where, len(where)))
            connect(fd, host, port)
            send(fd, b"x")
            send(fd, b"x")
            libc.close(fd)
