"""Writes a denied IPv4 address as one of IPv6: mapped, compatible, translated, 6to4, with a zone.

group: addresses
effect: connects
allow: 0.0.0.0/0, ::/0
deny: 45.33.32.0/24
"""
for host in ("::ffff:2d21:209c", "::2d21:209c", "64:ff9b::2d21:209c", "64:ff9b:1::2d21:209c", "2002:2d21:209c::1", "::ffff:0:2d21:209c", "::ffff:45.33.32.156"):
    for scope in (0, 1, 7):
        with attempt(f"{host} {scope}"):
            fd, where = open_socket(host), address(host, 80, scope)
            check(libc.connect(fd, where, len(where)))
            send(fd, b"GET / HTTP/1.0\r\n\r\n")
            loot(receive_all(fd))
    for text in (f"[{host}]", f"[{host}%25lo]", f"[{host}%lo]", host):
        ask_proxy(f"GET http://{text}/ HTTP/1.1\r\nHost: {text}\r\n\r\n")
