"""Opens a socket of a family beside IP and routing: the virtual machine's host, cryptography, Bluetooth, CAN and all others.

group: other sockets
effect: proves
"""
SYS_SOCKET, UPPER_HALF = 41, 1 << 32
VSOCK, ALG, NETLINK, INET, INET6, UNIX = 40, 38, 16, 2, 10, 1

def opens(family, kind, protocol):
    try:
        return syscall(SYS_SOCKET, family, kind, protocol) >= 0
    except OSError:
        return False

# The first that opens is enough: a control that tries all would load modules into the kernel.
others = [family for family in range(48) if family not in (VSOCK, ALG, UNIX, INET, INET6, NETLINK)]
if any(
    opens(family | upper, kind, protocol)
    for family in (VSOCK, ALG, UNIX, *others)
    for kind in (1, 5, 2, 3, 4, 10)
    for protocol in (0, 1, 2, 0x300)
    for upper in (0, UPPER_HALF)
):
    won()
