"""Reads a file that it may only write: by other descriptors, mappings, copies, and by moving it to where it may read.

group: files and links
effect: reads
read: granted/both
write: granted
"""
SYS_RENAMEAT2, AT_FDCWD, EXCHANGE = 316, -100, 2
granted = os.fsencode(arena.directory + "/granted")
private, both = granted + b"/private", granted + b"/both"
ACCESS_NONE, MAP_SHARED, PROT_READ, PROT_WRITE = 3, 1, 1, 2
for flags in (os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_APPEND):
    with attempt(f"open with {flags:#x}"):
        loot(os.read(check(libc.open(private, flags)), 200))
copy = check(libc.open(both + b"/copy", os.O_RDWR | os.O_CREAT, 0o666))
for flags in (os.O_WRONLY, os.O_PATH, ACCESS_NONE):
    with attempt(f"descriptor with {flags:#x}"):
        fd = check(libc.open(private, flags))
        for what, call in {
            "sendfile": lambda: libc.sendfile(copy, fd, None, 200),
            "copy_file_range": lambda: libc.copy_file_range(fd, None, copy, None, 200, 0),
            "link": lambda: libc.linkat(AT_FDCWD, b"/proc/self/fd/%d" % fd, AT_FDCWD, both + b"/by-fd", 0x400),
        }.items():
            with attempt(what):
                check(call())
        for protection in (PROT_READ, PROT_WRITE):
            with attempt("mmap"):
                libc.mmap.restype = ctypes.c_long
                loot(ctypes.string_at(check(libc.mmap(None, 4096, protection, MAP_SHARED, fd, 0)), 200))
        with attempt("opened again"):
            loot(read(b"/proc/self/fd/%d" % fd))
with attempt("symlink"):
    check(libc.symlink(b"../private", both + b"/symlink"))
    loot(read(both + b"/symlink"))
for what, call in {
    "link": lambda: libc.link(private, both + b"/linked"),
    "exchange": lambda: syscall(SYS_RENAMEAT2, AT_FDCWD, private, AT_FDCWD, both + b"/copy", EXCHANGE),
    "rename": lambda: libc.rename(private, both + b"/moved"),
    "rename the directory": lambda: libc.rename(both, granted + b"/elsewhere"),
}.items():
    with attempt(what):
        check(call())
for name in (b"/copy", b"/by-fd", b"/linked", b"/moved"):
    with attempt(name):
        loot(read(both + name))
