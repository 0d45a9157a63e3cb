"""Writes the golden vectors that the Rust and the Python side share: `python3 make_vectors.py`, then commit.

It encodes by `struct` and by hand, apart from both implementations.
"""

import json
import os
import struct

VECTORS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "crates", "ipc", "vectors")

TEXTS = [("empty", ""), ("ascii", "hello\n"), ("multibyte", "žluťoučký 日本 🐍\n"), ("4kib", "x" * 4095 + "\n")]
MARKS = [("zero", 0, 0), ("near-wrap", 0xFFFFFFFF, 0xFFFFFFFE), ("apart", 0x01020304, 0x80000000)]

OUTPUT, EXEC_START, EXEC_END, DENIED = 0x40, 0x41, 0x42, 0x43


def frame(name, kind, req_id, body, /, **fields):
    payload = struct.pack("<BI", kind, req_id) + body
    return {"name": name, "type": kind, "req_id": req_id, "body_hex": body.hex(), "payload_hex": payload.hex(),
            "fields": fields}


def frames():
    for kind, label in ((0x00, "stdout"), (0x20, "code"), (0x50, "code-part")):
        for name, text in TEXTS:
            yield frame(f"{label}-{name}", kind, 0, text.encode(), text=text)
    checks = [("fs-read", 1, "/etc/passwd"), ("fs-write", 2, "/tmp/ž"), ("net-connect", 3, "github.com:443"),
              ("exec", 4, "ls"), ("listdir", 5, "/")]
    for label, kind, target in checks:
        for req_id in (1, 0xFFFFFFFF):
            yield frame(f"{label}-{req_id:#x}", kind, req_id, target.encode(), text=target)
    for label, kind in (("allow", 0x10), ("deny", 0x11)):
        for req_id in (0, 7, 0xFFFFFFFF):
            yield frame(f"{label}-{req_id:#x}", kind, req_id, b"")
    for stream, stream_name in ((1, "stdout"), (2, "stderr")):
        for more in (False, True):
            for mark_name, stdout_at, stderr_at in MARKS:
                for name, text in TEXTS if mark_name == "zero" else TEXTS[:3]:
                    head = struct.pack("<BII", stream | (0x80 if more else 0), stdout_at, stderr_at)
                    label = f"output-{stream_name}-{'more-' if more else ''}{mark_name}-{name}"
                    yield frame(label, OUTPUT, 0, head + text.encode(), stream=stream, more=more,
                                stdout_at=stdout_at, stderr_at=stderr_at, text=text)
    for mark_name, stdout_at, stderr_at in MARKS:
        for req_id in (1, 0xFFFFFFFF):
            yield frame(f"exec-start-{mark_name}-{req_id:#x}", EXEC_START, req_id,
                        struct.pack("<II", stdout_at, stderr_at), stdout_at=stdout_at, stderr_at=stderr_at)
        ends = [("ok", 0, 0, ""), ("exception", 1, 1, "ValueError: ž"), ("exit", 255, 2, ""),
                ("interrupted", 130, 3, "KeyboardInterrupt"), ("negative", -1, 2, ""), ("4kib", 1, 1, "E: " + "x" * 4093)]
        for name, code, how, error in ends:
            body = struct.pack("<IIiB", stdout_at, stderr_at, code, how) + error.encode()
            yield frame(f"exec-end-{mark_name}-{name}", EXEC_END, 3, body, stdout_at=stdout_at, stderr_at=stderr_at,
                        exit_code=code, how=how, error=error)
    denials = [(1, "open", "/etc/passwd"), (2, "mkdir", "/work/ž"), (3, "connect", "[::1]:443"), (4, "exec", "ls"),
               (5, "getenv", "AWS_KEY"), (6, "dlopen", "/lib/x.so"), (7, "uname", ""), (1, "", "/"),
               (1, "listdir", "/" + "d" * 4095)]
    for kind, operation, target in denials:
        body = struct.pack("<BB", kind, len(operation)) + operation.encode() + target.encode()
        yield frame(f"denied-{kind}-{operation or 'nameless'}-{len(target)}", DENIED, 0, body, kind=kind,
                    operation=operation, target=target)
    for what, label in ((0, "file"), (1, "command"), (2, "stdin")):
        for name, text in [*TEXTS, ("path", "/home/ž/x.py")]:
            yield frame(f"run-{label}-{name}", 0x52, 0, bytes((what,)) + text.encode(), what=what, text=text)
    yield frame("shutdown", 0x53, 0, b"")


def scenario(name, capacity, head, tail, payload):
    whole = struct.pack("<I", len(payload)) + payload
    used = (tail - head) % capacity
    result = {"name": name, "capacity": capacity, "head": head, "tail": tail, "payload_hex": payload.hex()}
    if used + len(whole) > capacity - 1:
        return {**result, "fits": False, "expect_tail": tail, "data_hex": bytes(capacity).hex()}
    data = bytearray(capacity)
    for index, byte in enumerate(whole):
        data[(tail + index) % capacity] = byte
    return {**result, "fits": True, "expect_tail": (tail + len(whole)) % capacity, "data_hex": data.hex()}


def ring():
    short = struct.pack("<BI", 0x40, 0) + b"abc"
    longest = struct.pack("<BI", 0x20, 0) + bytes(range(1, 55))  # 59 + 4 = 63 = capacity - 1
    yield scenario("empty at zero", 64, 0, 0, short)
    yield scenario("empty in the middle", 64, 30, 30, short)
    yield scenario("ends at the end", 64, 10, 52, short)
    for gap in (1, 2, 3):
        yield scenario(f"prefix wraps after {gap}", 64, 20, 64 - gap, short)
    yield scenario("payload starts at zero", 64, 20, 60, short)
    for gap in (5, 8, 11):
        yield scenario(f"payload wraps, {gap} before the end", 64, 20, 64 - gap, short)
    yield scenario("exactly full", 64, 0, 0, longest)
    yield scenario("exactly full, wrapped", 64, 40, 40, longest)
    yield scenario("exactly full behind the reader", 64, 33, 20, short)
    yield scenario("one byte short", 64, 32, 20, short)
    yield scenario("full already", 64, 21, 20, short)
    yield scenario("larger than the ring", 64, 0, 0, longest + b"x")
    yield scenario("largest capacity - 1, tail one behind head at the end", 64, 0, 52, short)
    yield scenario("capacity not a power of two", 192, 100, 185, short)
    yield scenario("no body", 64, 0, 62, struct.pack("<BI", 0x53, 0))


if __name__ == "__main__":
    for name, values in (("frames", frames()), ("ring", ring())):
        lines = ",\n".join(json.dumps(value) for value in values)
        with open(os.path.join(VECTORS, name + ".json"), "w", encoding="ascii") as file:
            file.write(f"[\n{lines}\n]\n")
