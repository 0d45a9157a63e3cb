"""Copies an allowed library to wherever it may write, and loads the copy.

group: loading
effect: proves
read: granted
write: granted/drop
ffi: granted/allowed
"""
library = arena.directory + "/granted/allowed/libmine.so"
if not ctypes.CDLL(library).uncompress:
    sys.exit("the allowed library cannot be used")
for place in (arena.directory + "/granted/drop/libcopy.so", "/tmp/libcopy.so", "/dev/shm/libcopy.so"):
    with attempt(place):
        write(place, read(library))
        check(libc.chmod(place.encode(), 0o755))
        if ctypes.CDLL(place).uncompress:
            won()
    libc.unlink(place.encode())
