"""Sends the host a datagram that it has made itself, by raw sockets and by the link layer.

group: other sockets
effect: connects
control: root
"""
import socket, struct

SYS_SOCKET, SYS_SENDTO, SOCK_PACKET, ETH_P_IP = 41, 44, 10, 0x0800
for host in arena.addresses:
    target = socket.inet_aton(host)
    udp = struct.pack("!HHHH", 1234, arena.udp, 9, 0) + b"x"
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, socket.IPPROTO_UDP, 0, target, target)
    address = struct.pack("=H", socket.AF_INET) + bytes(2) + target + bytes(8)
    for protocol, packet in ((socket.IPPROTO_RAW, header + udp), (socket.IPPROTO_UDP, udp)):
        with attempt(f"raw, protocol {protocol}"):
            fd = syscall(SYS_SOCKET, socket.AF_INET, socket.SOCK_RAW, protocol)
            syscall(SYS_SENDTO, fd, packet, len(packet), 0, address, len(address))
    total = sum(struct.unpack("!10H", header))
    header = header[:10] + struct.pack("!H", 0xFFFF - (total + (total >> 16) & 0xFFFF)) + header[12:]
    for kind in (socket.SOCK_DGRAM, SOCK_PACKET):
        with attempt(f"link layer, kind {kind}"):
            fd = syscall(SYS_SOCKET, socket.AF_PACKET, kind, socket.htons(ETH_P_IP))
            address = struct.pack("=H", socket.AF_PACKET) + struct.pack("!H", ETH_P_IP) + struct.pack("=iHBB8x", 1, 0, 0, 6)
            syscall(SYS_SENDTO, fd, header + udp, len(header + udp), 0, address, len(address))
