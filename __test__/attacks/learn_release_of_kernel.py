"""Asks which kernel the host runs, where that is denied: by every call that says it, from threads and from children.

group: watched calls
effect: reads
"""
import threading

UNAME = 63

def by_number():
    buffer = ctypes.create_string_buffer(400)
    syscall(UNAME, buffer)
    loot(buffer.raw)

def by_library():
    buffer = ctypes.create_string_buffer(400)
    check(libc.uname(buffer))
    loot(buffer.raw)

def by_file():
    for name in ("/proc/sys/kernel/osrelease", "/proc/version", "/proc/self/auxv"):
        with attempt(name):
            loot(read(name))

for ask in (by_number, by_library, by_file):
    ask()
    fork(ask)
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
loot(os.uname())
