"""Sends data with the first packet, so that no connect() is called, or none that is seen: by flag, by option, by message.

group: sockets
effect: connects
allow: web.example.com:80
asks: web.example.com
reaches: tcp 93.184.216.34:80
"""
MSG_FASTOPEN, TCP_FASTOPEN_CONNECT, SYS_SENDTO, SYS_SENDMSG, SYS_SENDMMSG = 0x20000000, 30, 44, 46, 307
data = b"GET / HTTP/1.0\r\n\r\n"

def message(where, text):
    buffer, name = ctypes.create_string_buffer(text, len(text)), ctypes.create_string_buffer(where, len(where))
    vector = ctypes.create_string_buffer(struct.pack("@PN", ctypes.addressof(buffer), len(text)))
    head = struct.pack("@PIxxxxPNPNi4x", ctypes.addressof(name), len(where), ctypes.addressof(vector), 1, 0, 0, 0)
    return ctypes.create_string_buffer(head + bytes(8)), (buffer, name, vector)

for host, port in ((arena.evil, 80), ("::ffff:" + arena.evil, 80), (arena.evilSix, 80), ("127.0.0.1", 8000), (arena.web, 8000)):
    where = address(host, port)
    for upper in (0, 1 << 32):
        with attempt(f"{host} by flag"):
            syscall(SYS_SENDTO, open_socket(host), data, len(data), MSG_FASTOPEN | upper, where, len(where))
        for number, count in ((SYS_SENDMSG, ()), (SYS_SENDMMSG, (1,))):
            with attempt(f"{host} by message"):
                head, kept = message(where, data)
                syscall(number, open_socket(host), head, *count, MSG_FASTOPEN | upper)
    with attempt(f"{host} by option"):
        fd = open_socket(host)
        set_option(fd, socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
        send(connect(fd, host, port), data)
