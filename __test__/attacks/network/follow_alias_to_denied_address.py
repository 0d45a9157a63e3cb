"""Follows an allowed name whose alias is a denied host, at a denied address.

group: addresses
effect: connects
allow: *.example.com
deny: 45.33.32.0/24, evil.example.net
asks: strays.example.com, evil.example.net
"""
with attempt("connect"):
    for host in resolve("strays.example.com"):
        loot(page(host, 80))
ask_proxy("GET http://strays.example.com/ HTTP/1.1\r\nHost: strays.example.com\r\n\r\n")
ask_proxy("CONNECT strays.example.com:80 HTTP/1.1\r\n\r\n", "GET / HTTP/1.0\r\n\r\n")
