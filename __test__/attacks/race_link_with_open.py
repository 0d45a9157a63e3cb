"""Exchanges a file with a link to a secret while another thread opens it.

group: races with the host
effect: reads
read: granted
write: granted
"""
import threading

SYS_RENAMEAT2, AT_FDCWD, EXCHANGE = 316, -100, 2
granted = os.fsencode(arena.directory + "/granted")
write(granted + b"/file", b"harmless")
check(libc.mkdir(granted + b"/sub", 0o777))
write(granted + b"/sub/secret", b"harmless")
ended = threading.Event()

def exchange():
    while not ended.is_set():
        for one, other in ((b"/file", b"/link"), (b"/sub", b"/linked")):
            syscall(SYS_RENAMEAT2, AT_FDCWD, granted + one, AT_FDCWD, granted + other, EXCHANGE)

thread = threading.Thread(target=exchange)
thread.start()
found = set()
for _ in range(2000):
    for name in (b"/file", b"/sub/secret"):
        try:
            found.add(read(granted + name, 200))
        except OSError:
            pass
ended.set()
thread.join()
loot(found)
