"""Asks the proxy for tunnels to denied hosts and ports, to the host's own, and to the proxy itself.

group: proxy
effect: connects
allow: web.example.com:443
asks: web.example.com
reaches: tcp 93.184.216.34:443
"""
for where in ("evil.example.net:80", f"{arena.evil}:80", "web.example.com:80", "web.example.com", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "0.0.0.0:8000", "0:8000", f"{arena.metadata}:80", f"[{arena.evilSix}]:80", "169.254.1.1:8080", "169.254.1.2:8080", "757145756:80", "0x2d21209c:80", f"[::ffff:{arena.evil}]:80", ":80", "", "/:80", f"http://{arena.evil}:80"):
    ask_proxy(f"CONNECT {where} HTTP/1.1\r\nHost: web.example.com:443\r\n\r\n", "GET / HTTP/1.0\r\n\r\n")
