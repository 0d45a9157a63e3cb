"""Changes an allowed library by its second name, which lies where it may write, and loads it by its first.

group: loading
effect: proves
read: granted
write: granted/drop
ffi: granted/allowed
"""
library, other = arena.directory + "/granted/allowed/libmine.so", arena.directory + "/granted/drop/libmine.so"
version = b"1.2.13" if b"1.2.13" in read(library) else b"deflate "
with attempt("write"):
    write(other, read(library).replace(version, b"chngd!".ljust(len(version))), os.O_WRONLY)
if b"chngd!" in read(library):
    won()
if not ctypes.CDLL(library).uncompress:
    sys.exit("the allowed library cannot be used")
