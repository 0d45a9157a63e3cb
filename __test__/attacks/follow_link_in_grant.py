"""Follows symlinks that the host has in a granted directory to files outside it.

group: files and links
effect: reads
read: granted
"""
granted = os.fsencode(arena.directory + "/granted")
for path in (b"/link", b"/linked/secret", b"/linked/./../closed/secret"):
    with attempt(path):
        loot(read(granted + path))
with attempt("by the link's own descriptor"):
    link = check(libc.open(granted + b"/link", os.O_PATH | os.O_NOFOLLOW))
    loot(read(b"/proc/self/fd/%d" % link))
with attempt("by the directory's descriptor"):
    directory = check(libc.open(granted + b"/linked", os.O_PATH | os.O_DIRECTORY))
    loot(os.read(check(libc.openat(directory, b"secret", os.O_RDONLY)), 200))
with attempt("by the working directory"):
    check(libc.chdir(granted + b"/linked"))
    loot(read("secret"))
