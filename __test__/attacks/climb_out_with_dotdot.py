"""Climbs out of a granted directory with `..`.

group: files and links
effect: reads
read: granted
"""
granted = os.fsencode(arena.directory + "/granted")
directory = check(libc.open(granted, os.O_PATH | os.O_DIRECTORY))
by_descriptor = b"/proc/self/fd/%d" % directory
for start in (granted, b"/proc/self/root" + granted, b"/proc/thread-self/root" + granted, by_descriptor):
    for way in (b"/../secret", b"/linked/../secret", b"/../" * 40 + granted + b"/../secret"):
        with attempt(start + way):
            loot(read(start + way))
with attempt("relative to a descriptor"):
    loot(os.read(check(libc.openat(directory, b"../secret", os.O_RDONLY)), 200))
with attempt("relative to the working directory"):
    check(libc.fchdir(directory))
    loot(read("../secret"))
with attempt("by /proc/self/cwd"):
    loot(read("/proc/self/cwd/../secret"))
