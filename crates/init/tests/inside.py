"""The worker of the network's tests: does what its argument says, and prints what it saw as one JSON object."""

import errno
import json
import socket
import struct
import sys
import threading

TIMEOUT = 10


def outcome(action):
    try:
        return action()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


def flow(host, port, source=None):
    """What the other end says, and what it is called."""

    def action():
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as client:
            client.settimeout(TIMEOUT)
            if source:
                client.bind((source, 0))
            client.connect((host, port))
            peer = client.getpeername()[:2]
            said = client.makefile("r").readline().strip()
            return {"peer": f"{peer[0]} {peer[1]}", "said": said}

    return outcome(action)


def ask(host, port):
    """A datagram's answer, from the one address that it was sent to."""

    def action():
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as client:
            client.settimeout(TIMEOUT)
            client.connect((host, port))
            client.send(b"question")
            return client.recv(100).decode()

    return outcome(action)


def own_server(host):
    """A server of the worker's own: whom its client meets."""

    def action():
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, 0), family=family) as server:
            port = server.getsockname()[1]

            def serve():
                server.settimeout(TIMEOUT)
                peer, _ = server.accept()
                with peer:
                    peer.sendall(b"the worker itself\n")

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            found = flow(host, port)
            return found["said"] if isinstance(found, dict) else found

    return outcome(action)


def route_change(kind, body):
    """The kernel's answer to a request that would change addresses or routes."""

    def action():
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
            flags = 1 | 4 | 0x400  # NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE
            kernel.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body)
            code = struct.unpack_from("=i", kernel.recv(4096), 16)[0]
            return errno.errorcode.get(-code, code)

    return outcome(action)


def option(family, level, name, value=1):
    def action():
        with socket.socket(family, socket.SOCK_STREAM) as client:
            client.setsockopt(level, name, value)
            return "set"

    return outcome(action)


def write(path, text):
    def action():
        with open(path, "w") as file:
            file.write(text)
        return "written"

    return outcome(action)


def flows():
    relay = flow("93.184.216.34", 443)
    found = {
        "name": relay,
        "proxy": flow("169.254.1.1", 8080),
        "low port": flow("10.1.2.3", 1),
        "mapped": flow("::ffff:93.184.216.34", 80),
        "own source": flow("93.184.216.34", 443, source="10.9.8.7"),
        "v6": flow("2001:db8::1", 8443),
        "host's loopback": flow("127.0.0.1", 8000),
        "host's loopback, v6": flow("::1", 8001),
        "not in the range": flow("127.0.0.1", 8003),
        "own loopback": own_server("127.0.0.1"),
        "own loopback, another": own_server("127.9.9.9"),
        "own loopback, v6": own_server("::1"),
        "own address": own_server("169.254.1.2"),
    }
    port = int(relay["said"].split()[-1]) if isinstance(relay, dict) else 0
    found["relay's port"] = {host: flow(host, port) for host in ("127.0.0.1", "0.0.0.0", "::1", "::", "169.254.1.2")}
    found["relay's own address"] = flow("169.254.1.1", port)
    return found


def datagrams():
    return {
        "resolver": ask("169.254.1.1", 53),
        "foreign resolver": ask("8.8.8.8", 53),
        "foreign resolver, v6": ask("2001:4860:4860::8888", 53),
        "other port": ask("93.184.216.34", 443),
        "other port, v6": ask("2001:db8::1", 443),
        "local resolver": ask("127.0.0.53", 53),
        "local resolver, v6": ask("::1", 53),
        "own": ask("127.0.0.1", 443),
    }


def powers():
    transparent, mark, freebind_v6 = 19, 36, 75
    lo_down = struct.pack("=BBHiII", 0, 0, 0, 1, 0, 1)
    address = struct.pack("=BBBBI", socket.AF_INET, 32, 0, 0, 1) + struct.pack("=HH4s", 8, 2, bytes([10, 0, 0, 1]))
    found = {
        "lo down": route_change(16, lo_down),
        "new address": route_change(20, address),
        "IP_TRANSPARENT": option(socket.AF_INET, socket.IPPROTO_IP, transparent),
        "IPV6_TRANSPARENT": option(socket.AF_INET6, socket.IPPROTO_IPV6, freebind_v6),
        "SO_MARK": option(socket.AF_INET, socket.SOL_SOCKET, mark, 0x62756E),
        "nf_tables": outcome(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12).close() or "made"),
        "raw": outcome(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 255).close() or "made"),
        "ping": outcome(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1).close() or "made"),
        "packet": outcome(lambda: socket.socket(17, socket.SOCK_RAW, 0).close() or "made"),
        "forwarding": write("/proc/sys/net/ipv4/ip_forward", "1"),
        "rp_filter": write("/proc/sys/net/ipv4/conf/lo/rp_filter", "1"),
        "interfaces": [name for _, name in socket.if_nameindex()],
    }

    def low_port():
        with socket.create_server(("127.0.0.1", 53)):
            return "bound"

    found["low port"] = outcome(low_port)
    return found


print(json.dumps({"flows": flows, "datagrams": datagrams, "powers": powers}[sys.argv[1]]()))
