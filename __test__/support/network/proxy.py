"""A forward proxy that believes whatever it is told: the rival of the sandbox's, at its address.

Each thing that it gets wrong is what an attack on the sandbox's proxy tries; here the attack succeeds.
"""
import re
import socket
import threading
import urllib.parse


class NaiveProxy:
    def __init__(self, log, address, port):
        self.log, self.busy, self.lock = log, 0, threading.Lock()
        server = socket.create_server((address, port), backlog=128)
        threading.Thread(target=self.accept, args=(server,), daemon=True).start()

    def accept(self, server):
        while True:
            client, _ = server.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with self.lock:
            self.busy += 1
        try:
            self.exchange(client)
        finally:
            with self.lock:
                self.busy -= 1

    def exchange(self, client):
        with client, client.makefile("rb") as file:
            try:
                # A body is passed on unread, by Content-Length alone: what Transfer-Encoding says is not heard.
                while self.one(client, file):
                    pass
            except (OSError, ValueError, UnicodeError):
                pass

    def one(self, client, file):
        line = file.readline().decode("latin1")
        if not line.strip():
            return False
        method, target = line.split()[:2]
        head, fields = [], {}
        while (header := file.readline()).strip():
            head.append(header)
            name, _, value = header.decode("latin1").partition(":")
            fields[name.strip().lower()] = value.strip()
        host = fields.get("host", "")
        if method == "CONNECT":
            return self.tunnel(client, file, target)
        body = file.read(int(fields.get("content-length", 0)))
        for where in self.readings(target, host):
            self.forward(client, where, method, head, body)
        return True

    def readings(self, target, host):
        """All that somebody has ever taken for the host of a request: by the target, by Host, decoded, cut at NUL."""
        found = []
        for text in (urllib.parse.urlsplit(target).netloc, host, urllib.parse.unquote(target.partition("://")[2].partition("/")[0])):
            for part in re.split(r"[\r\n\0]+", text):
                part = part.rpartition("@")[2].partition("Host:")[2].strip() or part.rpartition("@")[2]
                if part and part not in found:
                    found.append(part)
        return found

    def forward(self, client, where, method, head, body):
        host, port = split(where, 80)
        try:
            with socket.create_connection((host, port), timeout=5) as server:
                server.sendall(f"{method} / HTTP/1.1\r\nConnection: close\r\n".encode() + b"".join(head) + b"\r\n" + body)
                while data := server.recv(65536):
                    client.sendall(data)
        except (OSError, UnicodeError):
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")

    def tunnel(self, client, file, target):
        for where in self.readings("x://" + target, ""):
            host, port = split(where, 443)
            try:
                server = socket.create_connection((host, port), timeout=5)
            except (OSError, UnicodeError):
                continue
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            threading.Thread(target=copy, args=(server, client), daemon=True).start()
            while data := file.read1(65536):
                server.sendall(data)
            return False
        client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        return False


def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass


def split(where, port):
    match = re.fullmatch(r"\[?(.*?)\]?(?::(\d+))?", where)
    return match[1], int(match[2] or port)
