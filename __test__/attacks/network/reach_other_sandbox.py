"""Reaches the servers of another sandbox, which has the same addresses.

group: host
effect: reads
allow: *
asks: web.example.com
"""
for host in ("169.254.1.2", "127.0.0.1", "0.0.0.0", "169.254.1.1", "::1"):
    for port in (18081, 18082):
        with attempt(f"{host} {port}"):
            loot(page(host, port, seconds=2))
        ask_proxy(f"CONNECT {host}:{port} HTTP/1.1\r\n\r\n", "GET / HTTP/1.0\r\n\r\n")
