"""What the world asks of the kernel, without `ip` or `mount`, which a slim machine need not have."""
import ctypes
import fcntl
import ipaddress
import os
import resource
import socket
import struct

LOOPBACK = 1  # the index of `lo` in every network namespace
SIOCSIFFLAGS, IFF_UP, IFF_LOOPBACK, IFF_RUNNING = 0x8914, 0x1, 0x8, 0x40
RTM_NEWLINK, RTM_NEWADDR, NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL = 16, 20, 1, 4, 0x400, 0x200
IFLA_IFNAME, IFLA_LINKINFO, IFLA_INFO_KIND, IFA_ADDRESS, IFA_LOCAL = 3, 18, 1, 1, 2
MS_BIND = 4096


def allow_many_descriptors():
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def raise_interface(name, flags=IFF_UP | IFF_RUNNING):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", name.encode(), flags))


def raise_loopback():
    raise_interface("lo", IFF_UP | IFF_LOOPBACK | IFF_RUNNING)


def attribute(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def ask_route(message, body, what):
    flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as route:
        route.send(struct.pack("=IHHII", 16 + len(body), message, flags, 1, 0) + body)
        error = -struct.unpack_from("=i", route.recv(4096), 16)[0]
    if error:
        raise OSError(error, f"{os.strerror(error)}: {what}")


def add_interface(name, address):
    """One end of a pair that leads nowhere, with an address: what a machine's own network card is to its programs."""
    kind = attribute(IFLA_INFO_KIND, b"veth")
    body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, 0, 0, 0)
    body += attribute(IFLA_IFNAME, name.encode() + b"\0") + attribute(IFLA_LINKINFO, kind)
    ask_route(RTM_NEWLINK, body, f"interface {name}")
    add_address(address, socket.if_nametoindex(name))
    raise_interface(name)


def add_address(text, index=LOOPBACK):
    """`address/prefix`; on lo, with a prefix, every address of the network is the machine's own, as the kernel has it for loopback."""
    interface = ipaddress.ip_interface(text)
    family = socket.AF_INET if interface.version == 4 else socket.AF_INET6
    packed = interface.ip.packed
    attributes = attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed)
    body = struct.pack("=BBBBI", family, interface.network.prefixlen, 0, 0, index) + attributes
    ask_route(RTM_NEWADDR, body, f"address {text}")


def bind_mount(source, target):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(os.fsencode(source), os.fsencode(target), None, MS_BIND, None) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{os.strerror(error)}: bind {source} over {target}")


def lower_first_unprivileged_port():
    """So that the tests' own processes, which have no privilege here, may serve where real servers do."""
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", "w") as file:
        file.write("0")


def ipv4_of(address):
    """The IPv4 address in an IPv4-mapped one."""
    mapped = ipaddress.ip_address(address.partition("%")[0])
    return str(getattr(mapped, "ipv4_mapped", None) or mapped)
