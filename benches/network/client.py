"""The client, the same text for each way; `host` and `via` (a proxy's address, or None) are set before. Prints JSON.

Before anything is measured, what arrives is checked: a way that loses or changes bytes has no speed.
"""
import hashlib
import json
import socket
import time

BLOCK = bytes(range(256)) * 4096
clock = time.perf_counter_ns
address = via or (socket.gethostbyname(host),)


def connect(port):
    """A connection to the server, by the proxy where there is one. The name is looked up once, beforehand."""
    if via is None:
        one = socket.socket()
        one.connect((address[0], port))
        return one
    one = socket.socket()
    one.connect(via)
    one.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += one.recv(1) or exit("the proxy hung up")
    assert b" 200 " in head.split(b"\r\n")[0], head
    return one


def check():
    for size in (1, 64):
        with connect(8103) as one:
            one.sendall(b"d%07d" % size)
            digest, count = hashlib.sha256(), 0
            while data := one.recv(1 << 20):
                digest.update(data)
                count += len(data)
        assert count == size << 20 and digest.digest() == hashlib.sha256(BLOCK * size).digest(), "what came is not what was sent"
    with connect(8103) as one:
        one.sendall(b"u%07d" % 64 + BLOCK * 64)
        assert one.makefile("rb").read().decode() == hashlib.sha256(BLOCK * 64).hexdigest(), "what went is not what came"


def connects(count):
    """Nanoseconds of connect() alone, and until the first byte from the server."""
    alone, first = [], []
    for _ in range(count):
        begun = clock()
        one = connect(8101)
        alone.append(clock() - begun)
        assert one.recv(1) == b"x"
        first.append(clock() - begun)
        one.close()
    return alone, first


def requests(count):
    """Requests a second, one after the other on one connection."""
    request, size = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", len(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    with connect(8102) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begun = clock()
        for _ in range(count):
            one.sendall(request)
            assert len(one.recv(size, socket.MSG_WAITALL)) == size
        return count / (clock() - begun) * 1e9


def bulk(mebibytes):
    """Bytes a second, from the server."""
    buffer = bytearray(1 << 20)
    with connect(8103) as one:
        begun, count = clock(), 0
        one.sendall(b"d%07d" % mebibytes)
        while size := one.recv_into(buffer):
            count += size
        assert count == mebibytes << 20
        return count / (clock() - begun) * 1e9


check()
connects(100)
alone, first = connects(COUNT)
middle = lambda values: sorted(values)[len(values) // 2]
print(json.dumps({
    "connect": middle(alone) / 1000, "connect99": sorted(alone)[len(alone) * 99 // 100] / 1000, "first": middle(first) / 1000,
    "requests": requests(COUNT * 5), "bulk": max(bulk(MEBIBYTES) for _ in range(2)),
}))
