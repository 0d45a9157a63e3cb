"""Tells the proxy one host in the request's target and another in its header.

group: proxy
effect: connects
allow: web.example.com:80
asks: web.example.com
reaches: tcp 93.184.216.34:80
"""
EVIL, GOOD = ("evil.example.net", arena.evil, "localhost:8000", arena.metadata), "web.example.com"
for evil in EVIL:
    for request in (
        f"GET http://{GOOD}/ HTTP/1.1\r\nHost: {evil}\r\n\r\n",
        f"GET http://{evil}/ HTTP/1.1\r\nHost: {GOOD}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {evil}\r\n\r\n",
        f"GET http:// HTTP/1.1\r\nHost: {evil}\r\n\r\n",
        f"GET //{evil}/ HTTP/1.1\r\nHost: {GOOD}\r\n\r\n",
        f"GET http://{GOOD}/ HTTP/1.1\r\nHost: {GOOD}\r\nHost: {evil}\r\n\r\n",
        f"GET http://{GOOD}/ HTTP/1.1\r\nHost : {evil}\r\n\r\n",
        f"GET http://{GOOD}/ HTTP/1.1\r\nHost:\r\n {evil}\r\n\r\n",
        f"GET http://{GOOD}/ HTTP/1.1\r\nX-Forwarded-Host: {evil}\r\nForwarded: host={evil}\r\nHost: {evil}\r\n\r\n",
        f"CONNECT {GOOD}:80 HTTP/1.1\r\nHost: {evil}:80\r\n\r\n",
        f"CONNECT {evil}:80 HTTP/1.1\r\nHost: {GOOD}:80\r\n\r\n",
        f"OPTIONS * HTTP/1.1\r\nHost: {evil}\r\n\r\n",
        f"GET ftp://{evil}/ HTTP/1.1\r\nHost: {GOOD}\r\n\r\n",
    ):
        ask_proxy(request)
