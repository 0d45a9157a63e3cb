"""Lists the host's sockets, and finds the abstract one by its name.

group: /proc, /sys and /dev
effect: proves
"""
import socket, struct

for place in ("/proc/net", "/proc/self/net", "/proc/thread-self/net", "/proc/1/net", f"/proc/{arena.victim}/net"):
    with attempt(place):
        fd = check(libc.open(f"{place}/unix".encode(), os.O_RDONLY))
        while lines := os.read(fd, 1 << 16):
            loot(lines)
with attempt("netlink"):
    NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, DUMP, ALL_STATES, SHOW_NAME = 4, 20, 0x301, 0xFFFFFFFF, 1
    fd = check(libc.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG))
    request = struct.pack("BBHIIIII", socket.AF_UNIX, 0, 0, ALL_STATES, 0, SHOW_NAME, 0, 0)
    message = struct.pack("IHHII", 16 + len(request), SOCK_DIAG_BY_FAMILY, DUMP, 1, 0) + request
    check(libc.send(fd, message, len(message), 0))
    while (answer := os.read(fd, 1 << 16))[4] == SOCK_DIAG_BY_FAMILY:
        loot(answer)
