"""Maps a file of a read grant as data, and makes the mapping executable.

group: loading
effect: proves
read: granted
ffi: granted/allowed
"""
import mmap

PROT_READ, PROT_EXEC, RET = 1, 4, b"\xb8\x2a\0\0\0\xc3"  # mov eax, 42; ret
libc.mmap.restype = ctypes.c_void_p
FAILED = ctypes.c_void_p(-1).value

PKEY_MPROTECT = 329
for sharing in (mmap.MAP_PRIVATE, mmap.MAP_SHARED):
    for how in ("mprotect", "pkey_mprotect"):
        with attempt(how):
            fd = check(libc.open((arena.directory + "/granted/code").encode(), os.O_RDONLY))
            page = libc.mmap(None, 4096, PROT_READ, sharing, fd, 0)
            if page == FAILED:
                raise OSError(ctypes.get_errno(), "mmap")
            if how == "mprotect":
                check(libc.mprotect(ctypes.c_void_p(page), 4096, PROT_READ | PROT_EXEC))
            else:
                syscall(PKEY_MPROTECT, ctypes.c_void_p(page), 4096, PROT_READ | PROT_EXEC, -1)
            if ctypes.CFUNCTYPE(ctypes.c_int)(page)() == 42:
                won()
