"""HTTP and HTTPS, echoes, something that speaks Redis's protocol, a package index, repositories of git: on every address at once."""
import hashlib
import http.server
import os
import selectors
import socket
import socketserver
import ssl
import subprocess
import threading
import time
import urllib.parse

from linux import ipv4_of

PATTERN = bytes(range(251)) * 261  # no power of two long, so that a block lost or twice there changes the sum


class Servers:
    """Counts what tests ask for."""

    def __init__(self):
        self.lock = threading.Lock()
        self.now = self.peak = self.total = self.sent = self.resets = 0

    def enter(self):
        with self.lock:
            self.now += 1
            self.total += 1
            self.peak = max(self.peak, self.now)

    def leave(self):
        with self.lock:
            self.now -= 1

    def state(self, reset):
        with self.lock:
            state = {name: getattr(self, name) for name in ("now", "peak", "total", "sent", "resets")}
            if reset:
                self.peak, self.total, self.sent, self.resets = self.now, 0, 0, 0
            return state


class Server(socketserver.ThreadingTCPServer):
    """One port of both families on every address."""

    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 4096

    def __init__(self, port, handler, context=None):
        self.context = context
        super().__init__(("::", port), handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def finish_request(self, request, client_address):
        counts = self.RequestHandlerClass.counts
        counts.enter()
        try:
            if self.context:
                request = self.context.wrap_socket(request, server_side=True)
            super().finish_request(request, client_address)
        except (OSError, ValueError):
            counts.resets += 1  # of the client's doing: nothing for a traceback
        finally:
            counts.leave()


def local(connection):
    address, port = connection.getsockname()[:2]
    return ipv4_of(address), port


class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.address, self.port = local(self.request)
        self.log.add("accepted", address=self.address, port=self.port)

    def log_message(self, *_):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            data = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def reply(self, data, status=200, kind="text/plain", **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_GET(self):
        self.log.add("request", address=self.address, port=self.port, method=self.command, target=self.path, host=self.headers.get("Host"))
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        parts = [part for part in url.path.split("/") if part]
        if not parts:
            # The secret: what an attack must not carry home from where it may not go.
            return self.reply(f"{self.secret} {self.headers.get('Host')} {self.address}:{self.port}".encode())
        if parts[0] == "bytes":
            return self.send_bytes(int(query["n"]))
        if parts[0] == "digest":
            return self.reply(hashlib.sha256(self.body()).hexdigest().encode())
        if parts[0] == "redirect":
            return self.reply(b"", 302, Location=query["to"])
        if parts[0] == "wait":
            time.sleep(float(query["s"]))
            return self.reply(b"waited")
        if parts[0] == "git":
            return self.git(url)
        if parts[0] in ("simple", "files"):
            return self.file(os.path.join(self.directory, *parts))
        return self.reply(b"no such page", 404)

    do_HEAD = do_POST = do_PUT = do_GET

    def send_bytes(self, count):
        self.send_response(200)
        self.send_header("Content-Length", str(count))
        self.end_headers()
        while count > 0:
            count -= (size := self.request.send(PATTERN[:count]))
            self.counts.sent += size

    def file(self, path):
        if os.path.isdir(path):
            links = "".join(f'<a href="/files/{name}">{name}</a>\n' for name in sorted(os.listdir(self.directory + "/files")) if name.startswith(os.path.basename(path)))
            return self.reply(f"<!DOCTYPE html><html><body>\n{links}</body></html>".encode(), kind="text/html")
        try:
            with open(path, "rb") as file:
                self.reply(file.read(), kind="application/octet-stream")
        except OSError:
            self.reply(b"no such file", 404)

    def git(self, url):
        """git-http-backend(1), as a CGI program."""
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": self.directory,
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        if self.headers.get("Content-Encoding"):
            environment["HTTP_CONTENT_ENCODING"] = self.headers["Content-Encoding"]
        result = subprocess.run(["git", "http-backend"], input=self.body(), env=environment, stdout=subprocess.PIPE).stdout
        head, _, data = result.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
        status = int(fields.pop("Status", "200").split()[0])
        self.reply(data, status, fields.pop("Content-Type", "text/plain"), **fields)


class Echo(socketserver.BaseRequestHandler):
    """Sends back what comes; when the client has ended its half, a last line, and then its own end."""

    def handle(self):
        address, port = local(self.request)
        self.log.add("accepted", address=address, port=port)
        while data := self.request.recv(65536):
            self.request.sendall(data)
        self.request.sendall(b"and that was all\n")


def sink(counts, port):
    """Takes what comes and says nothing: connections that stay, as many as anybody opens."""
    server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=4096)
    server.setblocking(False)
    ready = selectors.DefaultSelector()
    ready.register(server, selectors.EVENT_READ)
    while True:
        for key, _ in ready.select():
            try:
                if key.fileobj is server:
                    client, _ = server.accept()
                    client.setblocking(False)
                    ready.register(client, selectors.EVENT_READ)
                    counts.enter()
                elif not key.fileobj.recv(65536):
                    raise EOFError
            except BlockingIOError:
                pass
            except (OSError, EOFError):
                if key.fileobj is not server:
                    ready.unregister(key.fileobj)
                    key.fileobj.close()
                    counts.leave()


class Redis(socketserver.StreamRequestHandler):
    """As much of RESP3 as redis-py needs for a connection, SET and GET."""

    def handle(self):
        address, port = local(self.request)
        self.log.add("accepted", address=address, port=port)
        kept = {}
        while line := self.rfile.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(size + 2)[:-2])
            name = words[0].upper()
            if name == b"SET":
                kept[words[1]] = words[2]
                self.wfile.write(b"+OK\r\n")
            elif name == b"GET":
                value = kept.get(words[1])
                self.wfile.write(b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value))
            elif name == b"HELLO":
                self.wfile.write(b"%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n")
            elif name == b"PING":
                self.wfile.write(b"+PONG\r\n")
            else:
                self.wfile.write(b"+OK\r\n")


def echo_datagrams(log, address, port):
    server = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, port))
    while True:
        data, peer = server.recvfrom(65536)
        log.add("datagram", address=address, port=port, size=len(data))
        server.sendto(data, peer)


def start_servers(log, config):
    counts = Servers()
    shared = {"log": log, "counts": counts, "directory": config["directory"], "secret": config["secret"]}
    handlers = {kind.__name__: type(kind.__name__, (kind,), shared) for kind in (Web, Echo, Redis)}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(config["certificate"], config["key"])
    for kind, ports in (("Web", (80, 8000, 9229, 25)), ("Echo", (7,)), ("Redis", (6379,))):
        for port in ports:
            Server(port, handlers[kind])
    Server(443, handlers["Web"], context)
    threading.Thread(target=sink, args=(counts, 9), daemon=True).start()
    for address in config["datagrams"]:
        for port in (7, 123, 443):
            threading.Thread(target=echo_datagrams, args=(log, address, port), daemon=True).start()
    return counts
