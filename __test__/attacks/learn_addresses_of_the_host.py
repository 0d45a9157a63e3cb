"""Learns the host's network: names of interfaces, addresses, routes.

group: other sockets
effect: proves
"""
import socket, struct

known = [socket.inet_aton(host) for host in arena.addresses if host != "127.0.0.1"]
fd = check(libc.socket(socket.AF_INET, socket.SOCK_DGRAM, 0))
with attempt("names"):
    if {name for _, name in socket.if_nameindex()} != {"lo"}:
        won()
with attempt("SIOCGIFCONF"):
    buffer = ctypes.create_string_buffer(4096)
    request = struct.pack("=i4xQ", len(buffer), ctypes.addressof(buffer))
    SIOCGIFCONF = 0x8912
    check(libc.ioctl(fd, SIOCGIFCONF, request))
    if any(address in buffer.raw for address in known):
        won()
for message in (22, 18, 26):  # RTM_GETADDR, RTM_GETLINK, RTM_GETROUTE
    with attempt(f"netlink {message}"):
        route = check(libc.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
        request = struct.pack("=IHHIIB3x", 20, message, 0x301, 1, 0, 0)
        check(libc.send(route, request, len(request), 0))
        answer = os.read(route, 1 << 16)
        if any(address in answer for address in known):
            won()
for file in ("fib_trie", "route", "arp", "dev", "tcp", "udp"):
    with attempt(file):
        text = read(f"/proc/self/net/{file}")
        if any(".".join(map(str, address)).encode() in text for address in known):
            won()
