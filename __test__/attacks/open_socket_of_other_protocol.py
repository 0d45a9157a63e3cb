"""Opens a socket of IP with a protocol beside TCP and UDP, or a netlink socket beside routing.

group: other sockets
effect: proves
"""
import socket

SYS_SOCKET, UPPER_HALF = 41, 1 << 32
MPTCP, SCTP, DCCP, UDPLITE, ICMP, ICMPV6, L2TP, GRE, RAW = 262, 132, 33, 136, 1, 58, 115, 47, 255
UEVENT, DIAGNOSIS, USER, AUDIT, NETFILTER, CONNECTOR, GENERIC, XFRM, CRYPTO = 15, 4, 2, 9, 12, 11, 16, 6, 21

def opens(family, kind, protocol):
    try:
        return syscall(SYS_SOCKET, family, kind, protocol) >= 0
    except OSError:
        return False

# The first that opens is enough: a control that tries all would load modules into the kernel.
internet = (MPTCP, ICMP, ICMPV6, RAW, UDPLITE, SCTP, DCCP, L2TP, GRE, *range(1, 300))
internet = [protocol for protocol in internet if protocol not in (socket.IPPROTO_TCP, socket.IPPROTO_UDP)]
netlink = (UEVENT, USER, DIAGNOSIS, AUDIT, NETFILTER, CONNECTOR, GENERIC, XFRM, CRYPTO, *range(1, 32))
tries = (
    (socket.AF_NETLINK, netlink, (socket.SOCK_RAW, socket.SOCK_DGRAM)),
    (socket.AF_INET, internet, (1, 2, 3, 5, 6)),
    (socket.AF_INET6, internet, (1, 2, 3, 5, 6)),
)
if any(
    opens(family, kind, protocol | upper)
    for family, protocols, kinds in tries
    for protocol in protocols
    for kind in kinds
    for upper in (0, UPPER_HALF)
):
    won()
