"""Maps a file that it has written as code.

group: executing
effect: proves
read: granted
write: granted
"""
import mmap

PROT_READ, PROT_EXEC, RET = 1, 4, b"\xb8\x2a\0\0\0\xc3"  # mov eax, 42; ret
libc.mmap.restype = ctypes.c_void_p
FAILED = ctypes.c_void_p(-1).value

for path in (arena.directory + "/granted/code", "/dev/shm/code", "/tmp/code"):
    for sharing in (mmap.MAP_PRIVATE, mmap.MAP_SHARED):
        with attempt(path):
            write(path, RET.ljust(4096, b"\0"))
            fd = check(libc.open(path.encode(), os.O_RDONLY))
            page = libc.mmap(None, 4096, PROT_READ | PROT_EXEC, sharing, fd, 0)
            if page == FAILED:
                page = libc.mmap(None, 4096, PROT_READ, sharing, fd, 0)
                check(libc.mprotect(ctypes.c_void_p(page), 4096, PROT_READ | PROT_EXEC))
            if ctypes.CFUNCTYPE(ctypes.c_int)(page)() == 42:
                won()
    libc.unlink(path.encode())
