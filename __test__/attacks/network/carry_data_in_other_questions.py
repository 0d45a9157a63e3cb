"""Asks for an allowed name, but not for addresses: TXT, NULL, MX, any, transfers, other classes, updates.

group: names
effect: asks
allow: web.example.com, *.wild.example.com
asks: web.example.com
"""
SOA, NS, CNAME, NULL, PTR, MX, TXT, SRV, NAPTR, DS, DNSKEY, HTTPS, IXFR, AXFR, ANY, URI, PRIVATE = 6, 2, 5, 10, 12, 15, 16, 33, 35, 43, 48, 65, 251, 252, 255, 256, 65280
for kind in (SOA, NS, CNAME, NULL, PTR, MX, TXT, SRV, NAPTR, DS, DNSKEY, HTTPS, IXFR, AXFR, ANY, URI, PRIVATE, 0, 99):
    ask(question("web.example.com", kind))
CHAOS, ANY_CLASS = 3, 255
for class_ in (CHAOS, ANY_CLASS):
    ask(question("version.bind", TXT, class_))
for operation in (1, 2, 4, 5):  # inverse query, status, notify, update
    ask(question("evil.example.net", 1, flags=0x0100 | operation << 11))
ask(question("34.216.184.93.in-addr.arpa", PTR))
