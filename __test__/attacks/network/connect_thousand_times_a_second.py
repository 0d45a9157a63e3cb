"""Connects a thousand times as fast as it can, where five a second are allowed.

group: floods
effect: floods
allow: web.example.com:80
asks: web.example.com
reaches: tcp 93.184.216.34:80
total: 200
rate: 5
"""
host = resolve("web.example.com")[0]

def connects():
    end = time.monotonic() + 4 * arena.slowness
    for _ in range(60):
        if time.monotonic() > end:
            return
        with attempt("one of many"):
            with stream(host, 80, seconds=2):
                pass

workers = [threading.Thread(target=connects) for _ in range(20)]
for thread in workers:
    thread.start()
for thread in workers:
    thread.join()
