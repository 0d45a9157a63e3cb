"""Has the host write its answers about the system over a file that is mapped for reading.

group: watched calls
effect: writes
read: outside
control: none the answers are the kernel's own without a sandbox, and it writes to nothing that its caller may not
"""
PROT_READ, MAP_SHARED = 1, 1
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
fd = check(libc.open(os.fsencode(arena.directory + "/outside"), os.O_RDONLY))
place = libc.mmap(None, 4096, PROT_READ, MAP_SHARED, fd, 0)
assert place not in (None, ctypes.c_void_p(-1).value)
for number, arguments in ((63, (place,)), (99, (place,)), (204, (0, 1024, place))):
    for _ in range(20):
        with attempt(number):
            syscall(number, *map(ctypes.c_void_p, arguments))
