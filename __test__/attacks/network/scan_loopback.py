"""Looks through every port of loopback for whatever leads outside, the relay's own listeners among it, and talks to it.

group: host
effect: connects
allow: web.example.com
asks: web.example.com
"""
IN_USE = 98
found = [(host, port) for host in ("127.0.0.1", "::1") for port in range(1, 1024)]  # no port to be bound without privilege
for host in ("127.0.0.1", "169.254.1.2", "::1"):
    for port in range(1024, 65536, 1 if arena.slowness == 1 else 13):
        fd, where = check(libc.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, TCP, 0)), address(host, port)
        # Where it cannot listen itself, somebody does.
        if libc.bind(fd, where, len(where)) != 0 and ctypes.get_errno() == IN_USE:
            found.append((host, port))
        libc.close(fd)
print("in use:", found[2046:])
for host, port in found:
    for request in (f"GET http://{arena.evil}/ HTTP/1.0\r\n\r\n", f"CONNECT {arena.evil}:80 HTTP/1.1\r\n\r\n", "GET / HTTP/1.0\r\nHost: evil.example.net\r\n\r\n"):
        try:
            with stream(host, port, seconds=1) as fd:
                send(fd, request.encode())
                receive_all(fd)
        except OSError:
            if port < 1024:
                break
