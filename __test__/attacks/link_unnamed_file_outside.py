"""Gives a file without a name one outside its grants.

group: files and links
effect: writes
read: granted
write: granted
"""
AT_FDCWD, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH = -100, 0x400, 0x1000
granted = os.fsencode(arena.directory + "/granted")
for place in (granted, granted + b"/..", granted + b"/linked"):
    with attempt(place):
        fd = check(libc.open(place, os.O_TMPFILE | os.O_RDWR, 0o666))
        for name in (b"/../planted", b"/linked/planted"):
            with attempt(name):
                check(libc.linkat(fd, b"", AT_FDCWD, granted + name, AT_EMPTY_PATH))
            with attempt("by /proc/self/fd"):
                check(libc.linkat(AT_FDCWD, b"/proc/self/fd/%d" % fd, AT_FDCWD, granted + name, AT_SYMLINK_FOLLOW))
