"""Changes the address in memory while connect() is being judged, from an allowed one to a denied one and back.

group: sockets
effect: connects
allow: 93.184.216.34:80
reaches: tcp 93.184.216.34:80
"""
good, evil = address(arena.web, 80), address(arena.evil, 80)
shared = ctypes.create_string_buffer(good, len(good))
ended = False

def flip():
    while not ended:
        ctypes.memmove(shared, evil, len(evil))
        ctypes.memmove(shared, good, len(good))

flippers = [threading.Thread(target=flip) for _ in range(2)]
for thread in flippers:
    thread.start()
for _ in range(500 // arena.slowness):
    with attempt("one of many"):
        fd = open_socket(seconds=5)
        try:
            check(libc.connect(fd, shared, len(good)))
        finally:
            libc.close(fd)
ended = True
for thread in flippers:
    thread.join()
