"""Connects to the host by TCP: by every address of its, over IPv6, with data in the first packet, from chosen addresses.

group: other sockets
effect: connects
"""
import socket, struct

SYS_SOCKET, SYS_CONNECT, SYS_SENDTO, SYS_BIND = 41, 42, 44, 49
MPTCP, SMC, FASTOPEN, UPPER_HALF = 262, 43, 0x20000000, 1 << 32

def ipv4(host, port):
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8)

def ipv6(host, port):
    return struct.pack("=H", socket.AF_INET6) + struct.pack("!HI", port, 0) + socket.inet_pton(socket.AF_INET6, host) + bytes(4)

for host in (*arena.addresses, "0.0.0.0", "127.1.2.3"):
    for family, address in ((socket.AF_INET, ipv4(host, arena.tcp)), (socket.AF_INET6, ipv6("::ffff:" + host, arena.tcp))):
        for protocol in (0, socket.IPPROTO_TCP, socket.IPPROTO_TCP | UPPER_HALF, MPTCP):
            new = lambda: syscall(SYS_SOCKET, family, socket.SOCK_STREAM, protocol)
            with attempt(f"{host} by {family.name}"):
                syscall(SYS_CONNECT, new(), address, len(address))
            with attempt(f"{host} at once"):
                syscall(SYS_SENDTO, new(), b"x", 1, FASTOPEN, address, len(address))
            with attempt(f"{host} from itself"):
                fd, own = new(), ipv4(host, 0) if family == socket.AF_INET else ipv6("::ffff:" + host, 0)
                syscall(SYS_BIND, fd, own, len(own))
                syscall(SYS_CONNECT, fd, address, len(address))
    with attempt(f"{host} by SMC"):
        address = ipv4(host, arena.tcp)
        syscall(SYS_CONNECT, syscall(SYS_SOCKET, SMC, socket.SOCK_STREAM, 0), address, len(address))
