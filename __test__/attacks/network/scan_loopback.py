"""Looks through every port of loopback for whatever leads outside, the relay's own listeners among it, and talks to it.

group: host
effect: connects
allow: web.example.com
asks: web.example.com
"""
NONBLOCK = 0x800
found = []
for host, step in (("127.0.0.1", 1), ("169.254.1.2", 97), ("::1", 97)):
    for port in range(1, 65536, step * (1 if arena.slowness == 1 else 13)):
        fd, where = check(libc.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, TCP | NONBLOCK, 0)), address(host, port)
        libc.connect(fd, where, len(where))
        # Loopback has answered by now.
        if libc.getpeername(fd, ctypes.create_string_buffer(28), ctypes.byref(ctypes.c_uint32(28))) == 0:
            found.append((host, port))
        libc.close(fd)
print("open:", found)
for host, port in found:
    for request in (f"GET http://{arena.evil}/ HTTP/1.0\r\n\r\n", f"CONNECT {arena.evil}:80 HTTP/1.1\r\n\r\n", "GET / HTTP/1.0\r\nHost: evil.example.net\r\n\r\n"):
        with attempt(f"{host} {port}"), stream(host, port, seconds=2) as fd:
            send(fd, request.encode())
            receive_all(fd)
