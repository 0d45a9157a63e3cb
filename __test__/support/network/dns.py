"""A name server that keeps every question, as the bytes that came."""
import socket
import struct
import threading

TYPES = {1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 10: "NULL", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV", 65: "HTTPS", 252: "AXFR", 255: "ANY"}
NUMBERS = {name: number for number, name in TYPES.items()}
NO_ERROR, FORMAT_ERROR, NO_SUCH_NAME = 0, 1, 3


def read_question(message):
    """The first question's name as text, its type, and where it ends."""
    labels, at = [], 12
    while message[at]:
        length = message[at]
        if length > 63:
            raise ValueError("compressed or long label in a question")
        labels.append(message[at + 1 : at + 1 + length].decode("latin1"))
        at += 1 + length
    number, _ = struct.unpack_from("!HH", message, at + 1)
    return ".".join(labels), TYPES.get(number, str(number)), at + 5


def write_name(name):
    return b"".join(bytes([len(label)]) + label.encode("latin1") for label in name.split(".") if label) + b"\0"


class NameServer:
    """`zone`: by name `{"A": […], "AAAA": […], "CNAME": name, "ttl": seconds, "turns": [[…], …]}`; `*.name` covers what is below it.
    One with `silent` is not answered at all.

    With `turns`, the n-th question for A gets the n-th list of addresses, the last one for ever: a name that is bound again.
    """

    def __init__(self, log, zone):
        self.log, self.zone, self.asked = log, zone, {}

    def serve(self, address):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        datagrams = socket.socket(family, socket.SOCK_DGRAM)
        datagrams.bind((address, 53))
        streams = socket.create_server((address, 53), family=family, backlog=128)
        threading.Thread(target=self.serve_datagrams, args=(datagrams, address), daemon=True).start()
        threading.Thread(target=self.serve_streams, args=(streams, address), daemon=True).start()

    def serve_datagrams(self, datagrams, address):
        while True:
            message, peer = datagrams.recvfrom(65536)
            reply = self.answer(message, address, "udp")
            if reply:
                datagrams.sendto(reply, peer)

    def serve_streams(self, streams, address):
        while True:
            client, _ = streams.accept()
            threading.Thread(target=self.serve_stream, args=(client, address), daemon=True).start()

    def serve_stream(self, client, address):
        with client, client.makefile("rb") as file:
            while len(head := file.read(2)) == 2:
                reply = self.answer(file.read(struct.unpack("!H", head)[0]), address, "tcp")
                if not reply:
                    return
                client.sendall(struct.pack("!H", len(reply)) + reply)

    def answer(self, message, server, proto):
        try:
            name, kind, end = read_question(message)
        except (IndexError, ValueError, struct.error):
            self.log.add("question", server=server, proto=proto, name=None, type=None, data=message.hex())
            return message[:2] + struct.pack("!HHHHH", 0x8180 | FORMAT_ERROR, 0, 0, 0, 0) if len(message) >= 2 else None
        self.log.add("question", server=server, proto=proto, name=name, type=kind, data=message.hex())
        if (self.find(name.lower()) or {}).get("silent"):
            return None
        records, found = self.records(name.lower(), kind)
        body = b"".join(write_name(owner) + struct.pack("!HHIH", NUMBERS[type_], 1, ttl, len(data)) + data for owner, type_, ttl, data in records)
        code = NO_ERROR if found else NO_SUCH_NAME
        return message[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(records), 0, 0) + message[12:end] + body

    def find(self, name):
        if name in self.zone:
            return self.zone[name]
        labels = name.split(".")
        return next((self.zone[wild] for n in range(1, len(labels)) if (wild := ".".join(["*", *labels[n:]])) in self.zone), None)

    def records(self, name, kind, depth=0):
        """Records for it, and whether the name exists."""
        entry = self.find(name)
        if entry is None:
            return [], depth > 0
        ttl = entry.get("ttl", 60)
        if "CNAME" in entry:
            rest, _ = self.records(entry["CNAME"], kind, depth + 1) if depth < 8 else ([], True)
            return [(name, "CNAME", ttl, write_name(entry["CNAME"])), *rest], True
        if kind not in ("A", "AAAA"):
            return [], True
        addresses = entry.get(kind, [])
        if kind == "A" and "turns" in entry:
            turn = self.asked[name] = self.asked.get(name, -1) + 1
            addresses = entry["turns"][min(turn, len(entry["turns"]) - 1)]
        family = socket.AF_INET if kind == "A" else socket.AF_INET6
        return [(name, kind, ttl, socket.inet_pton(family, address)) for address in addresses], True
