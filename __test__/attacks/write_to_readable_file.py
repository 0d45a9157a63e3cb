"""Writes to a file that it may only read, with every call that moves bytes.

group: files and links
effect: writes
read: granted
"""
mine = os.fsencode(arena.directory + "/granted/mine")
ACCESS_NONE, FALLOC_PUNCH = 3, 3
MAP_SHARED, PROT_READ, PROT_WRITE = 1, 1, 2
FICLONE = 0x40049409
source = check(libc.open(os.fsencode(sys.executable), os.O_RDONLY))
readable = check(libc.open(mine, os.O_RDONLY))
own, other = os.pipe()
os.write(other, b"planted")

for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND, ACCESS_NONE | os.O_TRUNC):
    for path in (mine, b"/proc/self/fd/%d" % readable, b"/proc/self/root" + mine):
        with attempt(f"open with {flags:#x}"):
            fd = check(libc.open(path, flags))
            check(libc.write(fd, b"planted", 7))
with attempt("truncate"):
    check(libc.truncate(mine, 0))
for fd in (readable, check(libc.open(mine, ACCESS_NONE))):
    for what, call in {
        "write": lambda: libc.write(fd, b"planted", 7),
        "pwrite": lambda: libc.pwrite(fd, b"planted", 7, 0),
        "ftruncate": lambda: libc.ftruncate(fd, 0),
        "fallocate": lambda: libc.fallocate(fd, 0, 0, 8192),
        "fallocate, a hole": lambda: libc.fallocate(fd, FALLOC_PUNCH, 0, 4096),
        "sendfile": lambda: libc.sendfile(fd, source, None, 7),
        "splice": lambda: libc.splice(own, None, fd, None, 7, 0),
        "copy_file_range": lambda: libc.copy_file_range(source, None, fd, None, 7, 0),
        "ioctl FICLONE": lambda: libc.ioctl(fd, FICLONE, source),
    }.items():
        with attempt(what):
            check(call())
    with attempt("mmap"):
        libc.mmap.restype = ctypes.c_void_p
        page = libc.mmap(None, 4096, PROT_READ, MAP_SHARED, fd, 0)
        check(libc.mprotect(ctypes.c_void_p(page), 4096, PROT_READ | PROT_WRITE))
        ctypes.memmove(page, b"planted", 7)
