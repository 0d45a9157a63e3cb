"""Reaches what the host serves to itself, its debugger among it: by every name and address of a machine's own.

group: host
effect: reads
allow: *
asks: localhost, localhost.localdomain, loop.example.com
"""
OWN = ("127.0.0.1", "127.1.2.3", "127.255.255.255", "0.0.0.0", "0.0.0.1", "::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "::127.0.0.1", "64:ff9b::7f00:1", "169.254.1.1", "169.254.1.2", "localhost", "localhost.localdomain", "127.1", "2130706433")
for host in OWN:
    for port in (80, 8000, 9229):
        with attempt(f"{host} {port}"):
            for found in resolve(host):
                loot(page(found, port, "localhost", seconds=2))
        text = f"[{host}]" if ":" in host else host
        ask_proxy(f"GET http://{text}:{port}/ HTTP/1.1\r\nHost: {text}:{port}\r\n\r\n")
        ask_proxy(f"CONNECT {text}:{port} HTTP/1.1\r\n\r\n", "GET / HTTP/1.0\r\n\r\n")
