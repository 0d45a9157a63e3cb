"""Connects to an address that no rule allows: over IPv4, mapped and IPv6, to many ports, by stream and by datagram.

group: addresses
effect: connects
allow: web.example.com
asks: web.example.com
"""
for host in (arena.evil, "::ffff:" + arena.evil, arena.evilSix, arena.private, arena.metadata):
    for port in (80, 443, 53, 25, 123, 8080, 15001, 65535):
        with attempt(f"{host} {port}"):
            loot(page(host, port, seconds=1))
        with attempt(f"{host} {port} by datagram"):
            send_to(host, port)
