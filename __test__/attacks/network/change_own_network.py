"""Changes the network that it lives in: addresses, routes, links, rules and tables, by netlink and by ioctl.

group: kernel
effect: proves
allow: web.example.com:80
asks: web.example.com
control: unshare --user --map-root-user --net
"""
NETFILTER, ROUTE = 12, 0
NEWLINK, DELLINK, NEWADDR, DELADDR, NEWROUTE, DELROUTE, NEWRULE, NEWQDISC = 16, 17, 20, 21, 24, 25, 32, 36

def talk(protocol, *messages):
    fd = check(libc.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol))
    set_option(fd, socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 1, 0))
    for kind, flags, body in messages:
        text = struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body
        check(libc.send(fd, text, len(text), 0))
    answer = receive(fd)
    error = -struct.unpack_from("=i", answer, 16)[0]
    if error:
        raise OSError(error, os.strerror(error))
    won()
    raise SystemExit  # enough, and the next would load modules in the control

def attribute(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)

ADD, REMOVE = 0x605, 0x005  # request and acknowledge, with create and replace
new_address = struct.pack("=BBBBI", socket.AF_INET, 32, 0, 0, 1) + attribute(2, socket.inet_aton("10.9.9.9")) + attribute(1, socket.inet_aton("10.9.9.9"))
route = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, 254, 4, 0, 1, 0) + attribute(4, struct.pack("=I", 1))
dummy = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + attribute(3, b"dummy9\0") + attribute(18, attribute(1, b"dummy"))
down = struct.pack("=BxHiII", 0, 0, 1, 0, 1)
table = struct.pack("=BBH", 1, 0, 0) + attribute(1, b"own\0")
batch = struct.pack("=BBH", 0, 0, 10 << 8)
with attempt("address"):
    talk(ROUTE, (NEWADDR, ADD, new_address))
with attempt("route"):
    talk(ROUTE, (NEWROUTE, ADD, route))
with attempt("no route"):
    talk(ROUTE, (DELROUTE, REMOVE, route))
with attempt("link"):
    talk(ROUTE, (NEWLINK, ADD, dummy))
with attempt("link down"):
    talk(ROUTE, (NEWLINK, REMOVE, down))
with attempt("rule"):
    talk(ROUTE, (NEWRULE, ADD, struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, 255, 0, 0, 1, 0)))
for operation in (0, 2):  # new table, delete table
    with attempt("table"):
        talk(NETFILTER, (16, 1, batch), (10 << 8 | operation, 5, table), (17, 1, batch))
SIOCSIFFLAGS, SIOCSIFADDR, SIOCADDRT, SIOCSIFMTU = 0x8914, 0x8916, 0x890B, 0x8922
fd = open_socket("0.0.0.0", UDP)
for request, body in ((SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", 0)), (SIOCSIFADDR, b"lo".ljust(16, b"\0") + address("10.9.9.8", 0)), (SIOCSIFMTU, struct.pack("16si20x", b"lo", 1500))):
    with attempt(f"ioctl {request:#x}"):
        check(libc.ioctl(fd, ctypes.c_ulong(request), ctypes.create_string_buffer(body)))
        won()
