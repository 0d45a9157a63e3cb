"""Writes a denied address in every way that the C library reads: as one number, octal, hexadecimal, with fewer parts.

group: addresses
effect: connects
allow: 0.0.0.0/0, *.example.com
deny: 45.33.32.0/24
"""
FORMS = ["757145756", "0x2d21209c", "0X2D21209C", "005510220234", "055.041.040.0234", "0x2d.0x21.0x20.0x9c", "45.33.8348", "45.2171036", "45.0x21.8348", "45.33.32.156"]
assert int(FORMS[1], 16) == int(FORMS[3], 8) == int(FORMS[0]) == 45 << 24 | 33 << 16 | 32 << 8 | 156
for form in [*FORMS, "45.33.32.156.", " 45.33.32.156", "４５.33.32.156", "45。33。32。156"]:
    with attempt(form):
        for host in resolve(form):
            loot(page(host, 80))
    ask_proxy(f"GET http://{form}/ HTTP/1.1\r\nHost: {form}\r\n\r\n".encode())
    ask_proxy(f"CONNECT {form}:80 HTTP/1.1\r\nHost: {form}:80\r\n\r\n".encode(), "GET / HTTP/1.0\r\n\r\n")
