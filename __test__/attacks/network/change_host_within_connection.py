"""Begins a connection to the proxy with an allowed request, and goes on to a denied host on the same one.

group: proxy
effect: connects
allow: web.example.com:80
asks: web.example.com
reaches: tcp 93.184.216.34:80
"""
good = "GET http://web.example.com/nothing HTTP/1.1\r\nHost: web.example.com\r\nConnection: keep-alive\r\n\r\n"

@meanwhile
def one_after_the_other(evil):
    with attempt("one after the other"), stream(*PROXY, seconds=1.5) as fd:
        for _ in range(2):
            send(fd, good.encode())
            receive(fd)
        send(fd, evil.encode())
        receive_all(fd)

for evil in (f"GET http://{arena.evil}/ HTTP/1.1\r\nHost: {arena.evil}\r\n\r\n", f"CONNECT {arena.evil}:80 HTTP/1.1\r\n\r\n", f"GET / HTTP/1.1\r\nHost: {arena.evil}\r\n\r\n"):
    ask_proxy(good + evil)
    one_after_the_other(evil)
    ask_proxy(good.replace("keep-alive", "Upgrade\r\nUpgrade: websocket") + evil)
