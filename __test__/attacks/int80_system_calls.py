"""Calls the kernel by `int 0x80`, whose numbers a filter for 64 bits takes for others.

group: system calls
effect: reads
ends: SIGSYS
"""
import mmap

# open(path) and read(fd, buffer, 200) of i386, on memory below 4 GiB.
MAP_32BIT = 0x40
libc.mmap.restype = ctypes.c_void_p
page = libc.mmap(None, 4096, 7, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_32BIT, -1, 0)
path = (arena.directory + "/secret").encode() + b"\0"
u32 = lambda number: number.to_bytes(4, "little")
code = (
    b"\x53"  # push rbx
    + b"\xb8" + u32(5) + b"\xbb" + u32(page + 2048) + b"\x31\xc9\x31\xd2\xcd\x80"  # eax = open(ebx, 0, 0)
    + b"\x89\xc3\xb8" + u32(3) + b"\xb9" + u32(page + 3072) + b"\xba" + u32(200) + b"\xcd\x80"  # read(eax, ecx, edx)
    + b"\x5b\xc3"  # pop rbx; ret
)
ctypes.memmove(page, code, len(code))
ctypes.memmove(page + 2048, path, len(path))
ctypes.CFUNCTYPE(ctypes.c_int)(page)()
loot(ctypes.string_at(page + 3072, 200))
