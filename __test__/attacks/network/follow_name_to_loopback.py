"""Follows an allowed name to the host's own loopback, where the host serves and is debugged.

group: addresses
effect: reads
allow: *.example.com
asks: loop.example.com, mapped.example.com
"""
for name in ("loop.example.com", "mapped.example.com"):
    for port in (80, 8000, 9229):
        with attempt(f"{name} {port}"):
            for host in resolve(name):
                loot(page(host, port))
        ask_proxy(f"GET http://{name}:{port}/ HTTP/1.1\r\nHost: {name}:{port}\r\n\r\n")
