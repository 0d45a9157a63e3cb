"""Uses an allowed name on ports that its rule does not name.

group: addresses
effect: connects
allow: web.example.com:80
asks: web.example.com
reaches: tcp 93.184.216.34:80
"""
for host in resolve("web.example.com"):
    for port in (443, 8000, 9229, 25, 22, 6379, 81, 79, 0, 65535, 80 + 256):
        with attempt(port):
            loot(page(host, port))
        with attempt(f"{port} by datagram"):
            send_to(host, port)
        ask_proxy(f"CONNECT web.example.com:{port} HTTP/1.1\r\n\r\n", "GET / HTTP/1.0\r\n\r\n")
for text in ("65616", "73536", "0008000", "+8000", "8000 ", "-1", "8e3", "0x1f40"):  # some are 80 or 8000 when cut to 16 bits
    ask_proxy(f"CONNECT web.example.com:{text} HTTP/1.1\r\n\r\n")
