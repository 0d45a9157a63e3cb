"""Starts in a working directory that is denied, and reads what is there.

group: denials inside grants
effect: reads
read: granted
hide: granted/sub/hidden, granted/sub/key
"""
for way in (b"secret", b"./secret", b"../key", b"../hidden/secret", b"/proc/self/cwd/secret"):
    with attempt(way):
        loot(read(way))
with attempt("its names"):
    fd = check(libc.open(b".", os.O_RDONLY | os.O_DIRECTORY))
    loot(os.read(check(libc.openat(fd, b"secret", os.O_RDONLY)), 200))
with attempt("again"):
    check(libc.chdir(os.fsencode(arena.directory + "/granted/sub/hidden")))
    loot(read("secret"))
