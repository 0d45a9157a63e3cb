"""Opens a path that another thread changes from a granted file to a secret while the host looks at it.

group: watched calls
effect: reads
read: granted
"""
import threading

granted, secret = (os.fsencode(f"{arena.directory}/{name}") for name in ("granted/mine", "secret"))
path = ctypes.create_string_buffer(granted, len(granted) + len(secret) + 1)
ended = threading.Event()

def change():
    while not ended.is_set():
        for name in (secret, granted):
            path.value = name

changing = threading.Thread(target=change)
changing.start()
found = set()
buffer = ctypes.create_string_buffer(200)
for _ in range(3000):
    fd = libc.open(path, os.O_RDONLY)
    if fd >= 0:
        found.add(buffer.raw[:libc.read(fd, buffer, len(buffer))])
        libc.close(fd)
ended.set()
changing.join()
loot(found)
