"""Connects by transports whose connections no rule for TCP and UDP sees: multipath TCP, UDP-Lite.

group: sockets
effect: connects
allow: web.example.com:80
asks: web.example.com
reaches: tcp 93.184.216.34:80
"""
MPTCP, UDPLITE, UPPER = 262, 136, 1 << 32  # those that need a module are tried elsewhere, where no control loads it
SYS_SOCKET, SYS_CONNECT = 41, 42
for host in (arena.evil, arena.evilSix):
    family, where = socket.AF_INET6 if ":" in host else socket.AF_INET, address(host, 80)
    for family, kind, protocol in ((family, 1, MPTCP), (family, 1, MPTCP | UPPER), (family, 2, UDPLITE)):
        with attempt(f"{host} {family} {kind} {protocol}"):
            fd = syscall(SYS_SOCKET, family, kind, protocol)
            set_option(fd, socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", 2, 0))
            syscall(SYS_CONNECT, fd, where, len(where))
            send(fd, b"GET / HTTP/1.0\r\n\r\n")
