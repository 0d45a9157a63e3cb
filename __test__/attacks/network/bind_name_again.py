"""Has an allowed name lead elsewhere at each question, with a time to live of nothing: to loopback, the private network, metadata.

group: addresses
effect: reads
allow: *.example.com
asks: rebound.example.com
reaches: tcp 93.184.216.34:8000
"""
for _ in range(6):
    time.sleep(0.6)  # answers hold for a second, whatever they say
    with attempt("again"):
        for host in resolve("rebound.example.com"):
            text = page(host, 8000)
            if arena.web.encode() not in text:
                loot(text)
