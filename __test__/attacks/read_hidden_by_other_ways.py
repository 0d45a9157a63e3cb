"""Reads what is denied inside a grant by "..", by /proc, and by descriptors of places.

group: denials inside grants
effect: reads
read: granted
hide: granted/sub/hidden, granted/sub/key
"""
sub = os.fsencode(arena.directory + "/granted/sub")
check(libc.chdir(sub))
place = check(libc.open(sub, os.O_PATH | os.O_DIRECTORY))
for way in (b"key", b"hidden/secret", b"../sub/key", b"./hidden/../key", b"/proc/self/root" + sub + b"/key", b"/proc/self/cwd/key",
            b"/proc/self/cwd/hidden/secret", b"/proc/1/root" + sub + b"/key", b"/proc/self/fd/%d/key" % place, b"/proc/thread-self/cwd/key"):
    with attempt(way):
        loot(read(way))
for name in (b"key", b"hidden"):
    with attempt(b"O_PATH of " + name):
        fd = check(libc.openat(place, name, os.O_PATH | os.O_NOFOLLOW))
        with attempt("again by /proc"):
            loot(read(b"/proc/self/fd/%d" % fd))
        with attempt("as a directory"):
            loot(os.read(check(libc.openat(fd, b"secret", os.O_RDONLY)), 200))
        check(libc.fchdir(fd))
        loot(read("secret"))
