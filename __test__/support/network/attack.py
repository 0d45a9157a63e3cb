"""What every attack on the network starts with, after support/attack.py: sockets by the C library, which no hook of Python's sees."""
import functools
import socket  # for constants, and to pack addresses
import struct
import threading
import time

libc.socket.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int]
libc.send.restype = libc.recv.restype = libc.sendto.restype = libc.sendmsg.restype = ctypes.c_ssize_t
TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
PROXY = ("169.254.1.1", 8080)
SECONDS = 10 * arena.slowness


def address(host, port, scope=0):
    """A `sockaddr_in` or `sockaddr_in6`."""
    if ":" in host:
        return struct.pack("=H", socket.AF_INET6) + struct.pack("!HI", port, 0) + socket.inet_pton(socket.AF_INET6, host) + struct.pack("=I", scope)
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8)


def set_option(fd, level, name, value):
    data = value if isinstance(value, bytes) else struct.pack("=i", value)
    check(libc.setsockopt(fd, level, name, data, len(data)))


def open_socket(host="0.0.0.0", kind=TCP, protocol=0, seconds=None):
    fd = check(libc.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind, protocol))
    for name in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):  # the latter is connect's, too: socket(7)
        set_option(fd, socket.SOL_SOCKET, name, struct.pack("@ll", *divmod(int((seconds or SECONDS) * 1_000_000), 1_000_000)))
    return fd


def connect(fd, host, port):
    where = address(host, port)
    check(libc.connect(fd, where, len(where)))
    return fd


def bind(fd, host, port=0):
    where = address(host, port)
    check(libc.bind(fd, where, len(where)))
    return fd


@contextmanager
def stream(host, port, **options):
    """A connection to there, closed at the end."""
    fd = open_socket(host, TCP, **options)
    try:
        yield connect(fd, host, port)
    finally:
        libc.close(fd)


def send(fd, data, flags=0x4000):  # MSG_NOSIGNAL
    while data:
        data = data[check(libc.send(fd, data, len(data), flags)) :]


def receive(fd, limit=1 << 16):
    buffer = ctypes.create_string_buffer(limit)
    size = check(libc.recv(fd, buffer, limit, 0))
    return buffer.raw[:size]


def receive_all(fd, limit=1 << 20):
    text = b""
    while len(text) < limit and (part := receive(fd)):
        text += part
    return text


def page(host, port, name="x", **options):
    """What the server's page says: its secret, among others."""
    with stream(host, port, **options) as fd:
        send(fd, f"GET / HTTP/1.0\r\nHost: {name}\r\n\r\n".encode())
        return receive_all(fd)


def send_to(host, port, data=b"datagram", fd=None, seconds=0.1 * arena.slowness):
    """A datagram, and what comes back soon."""
    own = fd is None
    fd = open_socket(host, UDP, seconds=seconds) if own else fd
    try:
        where = address(host, port)
        check(libc.sendto(fd, data, len(data), 0, where, len(where)))
        return receive(fd)
    finally:
        if own:
            libc.close(fd)


class AddrInfo(ctypes.Structure):
    pass


AddrInfo._fields_ = [(name, ctypes.c_int) for name in ("flags", "family", "kind", "protocol")] + [
    ("length", ctypes.c_uint32),
    ("address", ctypes.c_void_p),
    ("canonical", ctypes.c_char_p),
    ("next", ctypes.POINTER(AddrInfo)),
]


def resolve(name):
    """Addresses of a name, by the C library's resolver."""
    found, result = [], ctypes.POINTER(AddrInfo)()
    hints = AddrInfo(kind=TCP)
    code = libc.getaddrinfo(name if isinstance(name, bytes) else name.encode(), None, ctypes.byref(hints), ctypes.byref(result))
    if code != 0:
        raise OSError(code, f"getaddrinfo {name}")
    while result:
        one = result.contents
        data = ctypes.string_at(one.address, one.length)
        found.append(socket.inet_ntop(one.family, data[4:8] if one.family == socket.AF_INET else data[8:24]))
        result = one.next
    return found


def question(name, kind=1, class_=1, flags=0x0100, questions=1, extra=b"", additional=0):
    """A DNS message. `name`: text, or a list of labels as bytes."""
    labels = name if isinstance(name, list) else [label.encode() for label in name.split(".")]
    body = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return struct.pack("!HHHHHH", 0x1234, flags, questions, 0, 0, additional) + body + struct.pack("!HH", kind, class_) + extra


RESOLVER = next(line.split()[1] for line in read("/etc/resolv.conf").decode().splitlines() if line.startswith("nameserver"))


def meanwhile(function):
    """Runs it in a thread, of which there are not too many: most wait for answers that never come. `finish` waits for them."""

    @functools.wraps(function)
    def started(*args, **options):
        def run():
            with places:
                function(*args, **options)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        while sum(thread.is_alive() for thread in threads) > 48:
            time.sleep(0.001)

    return started


threads, places = [], threading.Semaphore(24)


def finish():
    """Called when the attack's text has come to its end."""
    for thread in threads:
        thread.join()


@meanwhile
def ask(message, server=RESOLVER, port=53):
    """Puts a DNS message to a server, by UDP and by TCP."""
    with attempt("by UDP"):
        send_to(server, port, message, seconds=2 * arena.slowness)
    with attempt("by TCP"), stream(server, port, seconds=2 * arena.slowness) as fd:
        send(fd, struct.pack("!H", len(message)) + message)
        receive(fd)


@meanwhile
def ask_proxy(*parts):
    """Says this to the proxy, part by part, and carries home what it answers."""
    with attempt(parts[0][:60]), stream(*PROXY, seconds=1.5 * arena.slowness) as fd:
        for part in parts:
            send(fd, part if isinstance(part, bytes) else part.encode("latin1"))
        loot(receive_all(fd))
