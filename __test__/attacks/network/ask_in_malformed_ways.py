"""Sends what is no DNS message: compression that loops, labels too long, counts that lie, noise; and asks for what hides in bytes.

group: names
effect: asks
allow: web.example.com
asks: web.example.com
"""
import random

head = struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0)
tail = struct.pack("!HH", 1, 1)
loop, forward = b"\xc0\x0c", b"\xc0\x20"
for body in (loop, forward, b"\x03web" + loop, b"\xff" * 300, b"\x40" + b"a" * 64 + b"\0", b"\x3f" + b"a" * 10, b"\0", b""):
    ask(head + body + tail)
ask(struct.pack("!HHHHHH", 7, 0x0100, 65535, 65535, 65535, 65535) + b"\0" + tail)
for size in (0, 1, 2, 11, 12, 13):
    ask(b"\0" * size)
evil = arena.proof.encode()
for labels in ([b"web.example.com\0." + evil], [b"web\0" + evil, b"example", b"com"], [b"web.example.com"], [evil + b".web", b"example", b"com"], [b"web", b"example", b"com\n" + evil], [b"web", b"example", b"com ", evil], [b"\xff" + evil], ["wеb".encode(), evil], [evil] * 9):
    ask(question(labels))
noise, fd, server = random.Random(7), open_socket("0.0.0.0", UDP), address(RESOLVER, 53)
for _ in range(500):
    message = noise.randbytes(noise.randrange(600))
    with attempt("noise"):
        check(libc.sendto(fd, message, len(message), 0, server, len(server)))
# And it still answers what is in order.
resolve("web.example.com")
