"""Hides the host from the proxy behind what stands before an @, after a #, a backslash or a second authority.

group: proxy
effect: connects
allow: web.example.com:80
asks: web.example.com
reaches: tcp 93.184.216.34:80
"""
GOOD, EVIL = "web.example.com", arena.evil
for authority in (f"{GOOD}@{EVIL}", f"{GOOD}:80@{EVIL}", f"{GOOD}:80@{EVIL}:80", f"{EVIL}#@{GOOD}", f"{EVIL}\\@{GOOD}", f"{GOOD}%40{EVIL}", f"{GOOD}@{GOOD}@{EVIL}", f"{EVIL}?@{GOOD}", f"{EVIL}/@{GOOD}", f"{GOOD}\t@{EVIL}", f"a:b@{EVIL}"):
    ask_proxy(f"GET http://{authority}/ HTTP/1.1\r\nHost: {GOOD}\r\n\r\n")
    ask_proxy(f"GET http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\n\r\n")
    ask_proxy(f"CONNECT {authority} HTTP/1.1\r\nHost: {GOOD}\r\n\r\n", "GET / HTTP/1.0\r\n\r\n")
