"""Goes from the one port of the host's that is allowed to its others: beside it, at other addresses of loopback, by the proxy.

group: host
effect: connects
allow: 127.0.0.1:8000
asks: localhost
reaches: tcp 127.0.0.1:8000
"""
for host in ("127.0.0.1", "127.0.0.2", "127.1.2.3", "0.0.0.0", "::1", "::ffff:127.0.0.1", "169.254.1.1"):
    for port in (8000, 80, 9229, 443):
        with attempt(f"{host} {port}"):
            page(host, port, seconds=2)
        text = f"[{host}]" if ":" in host else host
        ask_proxy(f"CONNECT {text}:{port} HTTP/1.1\r\n\r\n", "GET / HTTP/1.0\r\n\r\n")
        with attempt(f"{host} {port} by datagram"):
            send_to(host, port)
