"""What all three ways lead to: connections that are taken and dropped, answers on connections that stay, and bytes in bulk.

`server.py`: ports 8101, 8102 and 8103 of every address; ends with its standard input.
"""
import hashlib
import socket
import sys
import threading

BLOCK = bytes(range(256)) * 4096
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def serve(port, handle):
    server = socket.create_server(("0.0.0.0", port), backlog=4096)
    while True:
        client, _ = server.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        handle(client)


def in_thread(handle):
    return lambda client: threading.Thread(target=handle, args=(client,), daemon=True).start()


def drop(client):
    try:
        client.sendall(b"x")
    except OSError:
        pass
    client.close()


def answer(client):
    with client:
        rest = b""
        while data := client.recv(65536):
            rest += data
            while b"\r\n\r\n" in rest:
                rest = rest.partition(b"\r\n\r\n")[2]
                client.sendall(ANSWER)


def bulk(client):
    """`d0000064` has 64 MiB sent, `u0000064` taken, with their sum as the answer. (Not every proxy keeps a half-closed connection.)"""
    with client:
        word = client.recv(8, socket.MSG_WAITALL)
        if len(word) < 8:
            return
        if word[:1] == b"u":
            digest, left = hashlib.sha256(), int(word[1:]) << 20
            while left and (data := client.recv(min(left, 1 << 20))):
                digest.update(data)
                left -= len(data)
            client.sendall(digest.hexdigest().encode())
            return
        for _ in range(int(word[1:])):
            client.sendall(BLOCK)


for port, handle in ((8101, drop), (8102, in_thread(answer)), (8103, in_thread(bulk))):
    threading.Thread(target=serve, args=(port, handle), daemon=True).start()
sys.stdin.read()
