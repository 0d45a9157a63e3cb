"""Makes its own packets: raw sockets, packet sockets on every protocol, a tunnel, echo requests.

group: kernel
effect: proves
allow: web.example.com:80
asks: web.example.com
control: unshare --user --map-root-user --net
"""
PACKET, ICMP, TCP_PROTOCOL, RAW, UPPER = 17, 1, 6, 255, 1 << 32
SYS_SOCKET = 41
for family, kind, protocol in ((2, 3, RAW), (2, 3, TCP_PROTOCOL), (2, 3, ICMP), (10, 3, 58), (PACKET, 3, 0x0300), (PACKET, 2, 0x0008), (2, 10, 0), (40, 1, 0), (2, 2, ICMP), (10, 2, 58), (16, 3, 16), (16, 3, 6)):
    for upper in (0, UPPER):
        with attempt(f"{family} {kind} {protocol}"):
            fd = syscall(SYS_SOCKET, family | upper, kind | upper, protocol | upper)
            won()
            raise SystemExit  # enough, and the next would load modules in the control
with attempt("tunnel"):
    check(libc.open(b"/dev/net/tun", os.O_RDWR))
    won()
