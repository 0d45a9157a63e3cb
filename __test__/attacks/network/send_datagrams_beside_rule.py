"""Uses the one rule for datagrams to reach elsewhere: other ports and hosts, other senders, replies to somebody else.

group: datagrams
effect: connects
reaches: udp 93.184.216.34:7
"""
for source in (None, arena.evil, arena.private, arena.foreignResolver, "127.0.0.1", "169.254.1.1"):
    with attempt(f"from {source}"):
        fd = open_socket("0.0.0.0", UDP, seconds=0.1 * arena.slowness)
        if source:
            bind(fd, source)
        with attempt("the allowed one"):
            send_to(arena.web, 7, b"allowed", fd)
        for host, port in ((arena.web, 123), (arena.web, 443), (arena.evil, 7), (arena.private, 7), ("127.0.0.1", 7), ("255.255.255.255", 7), (arena.evil, 123)):
            with attempt(f"{host} {port}"):
                send_to(host, port, b"x", fd)
