"""Sets what changes the way of packets, so that they pass by the table that catches them: marks, devices, source routes, own tables.

group: sockets
effect: connects
allow: web.example.com:80
asks: web.example.com
reaches: tcp 93.184.216.34:80
"""
IP, IPV6, SOL = socket.IPPROTO_IP, socket.IPPROTO_IPV6, socket.SOL_SOCKET
SO_MARK, SO_BINDTODEVICE, SO_DONTROUTE, SO_PRIORITY, SO_BINDTOIFINDEX, SO_NETNS_COOKIE, SO_TXTIME = 36, 25, 5, 12, 62, 71, 61
IP_OPTIONS, IP_TRANSPARENT, IP_FREEBIND, IP_UNICAST_IF, IP_TTL, IP_TOS = 4, 19, 15, 50, 2, 1
IPV6_RTHDR, IPV6_TRANSPARENT, IPV6_FREEBIND, IPV6_UNICAST_IF = 57, 75, 78, 76
loose_route = b"\x83\x07\x04" + socket.inet_aton("127.0.0.1") + b"\0"
OPTIONS = [(SOL, SO_MARK, mark) for mark in (1, 0xFF, 0x1337, -1)] + [
    (SOL, SO_BINDTODEVICE, b"lo\0"), (SOL, SO_BINDTODEVICE, b"eth0\0"), (SOL, SO_BINDTOIFINDEX, 1), (SOL, SO_DONTROUTE, 1), (SOL, SO_PRIORITY, 6),
    (IP, IP_OPTIONS, loose_route), (IP, IP_TRANSPARENT, 1), (IP, IP_FREEBIND, 1), (IP, IP_UNICAST_IF, struct.pack("!I", 1)), (IP, IP_TTL, 1), (IP, IP_TOS, 0x1E),
    (IPV6, IPV6_TRANSPARENT, 1), (IPV6, IPV6_FREEBIND, 1), (IPV6, IPV6_UNICAST_IF, struct.pack("!I", 1)), (IPV6, IPV6_RTHDR, b"\0\2\4\1\0\0\0\0" + bytes(15) + b"\1"),
]
for level, name, value in OPTIONS:
    for host in (arena.evilSix,) if level == IPV6 else (arena.evil, "::ffff:" + arena.evil):
        for kind in (TCP, UDP):
            with attempt(f"{level} {name} to {host}"):
                fd = open_socket(host, kind, seconds=2)
                with attempt("the option"):
                    set_option(fd, level, name, value)
                connect(fd, host, 80 if kind == TCP else 7)
                send(fd, b"GET / HTTP/1.0\r\n\r\n")
                libc.close(fd)
