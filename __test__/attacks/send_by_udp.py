"""Sends datagrams to the host: by every address of its, over IPv6, to everybody.

group: other sockets
effect: connects
"""
import socket, struct

SYS_SOCKET, SYS_SENDTO, UDPLITE = 41, 44, 136
one = struct.pack("=i", 1)
subnets = [host.rpartition(".")[0] + ".255" for host in arena.addresses]
for host in (*arena.addresses, *subnets, "0.0.0.0", "255.255.255.255", "224.0.0.1", "239.1.2.3"):
    for family in (socket.AF_INET, socket.AF_INET6):
        for protocol in (0, socket.IPPROTO_UDP, UDPLITE):
            with attempt(f"{host} by {family.name}"):
                fd = syscall(SYS_SOCKET, family, socket.SOCK_DGRAM, protocol)
                check(libc.setsockopt(fd, socket.SOL_SOCKET, socket.SO_BROADCAST, one, len(one)))
                address = struct.pack("=H", family) + struct.pack("!H", arena.udp)
                if family == socket.AF_INET:
                    address += socket.inet_aton(host) + bytes(8)
                else:
                    address += bytes(4) + socket.inet_pton(family, "::ffff:" + host) + bytes(4)
                syscall(SYS_SENDTO, fd, b"x", 1, 0, address, len(address))
