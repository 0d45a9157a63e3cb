"""Follows an allowed name into the private network, and goes there by number, when only the public internet is allowed.

group: addresses
effect: reads
allow: *
asks: inside.example.com, db.internal
"""
for host in ("inside.example.com", "db.internal", arena.private, "::ffff:" + arena.private, "192.168.0.1", "172.16.0.1", "100.64.0.1", "fd12:3456::1"):
    with attempt(host):
        for found in resolve(host):
            loot(page(found, 80, seconds=2))
