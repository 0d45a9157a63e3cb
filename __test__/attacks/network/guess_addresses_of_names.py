"""Guesses the addresses that names have inside, those of another sandbox's names among them, without having asked for one.

group: addresses
effect: reads
allow: web.example.com
asks: evil.example.net, api.example.com
"""
for last in range(256):
    for host in (f"198.18.0.{last}", f"198.19.255.{last}") if arena.slowness == 1 else (f"198.18.0.{last}",):
        with attempt(host):
            loot(page(host, 80, "evil.example.net"))
