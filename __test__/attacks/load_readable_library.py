"""Loads a library that it may only read, where some other library is allowed.

group: loading
effect: proves
read: granted
ffi: granted/allowed
"""
allowed = ctypes.CDLL(arena.directory + "/granted/allowed/libmine.so")
if not allowed.uncompress:
    sys.exit("the allowed library cannot be used")
with attempt("dlopen"):
    if ctypes.CDLL(arena.directory + "/granted/libother.so").uncompress:
        won()
with attempt("with a link"):
    fd = check(libc.open((arena.directory + "/granted/libother.so").encode(), os.O_RDONLY))
    if ctypes.CDLL(f"/proc/self/fd/{fd}").uncompress:
        won()
