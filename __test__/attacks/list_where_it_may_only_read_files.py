"""Lists a directory where it may read files and not list: the secret is a name.

group: single rights
effect: reads
"""
granted = os.fsencode(arena.directory + "/granted")
loot(len(read(granted + b"/mine")))
place = check(libc.open(granted, os.O_PATH | os.O_DIRECTORY))
def names(fd):
    loot(os.listdir(fd))
with attempt("open"):
    names(check(libc.open(granted, os.O_RDONLY | os.O_DIRECTORY)))
with attempt("openat"):
    names(check(libc.openat(place, b".", os.O_RDONLY | os.O_DIRECTORY)))
with attempt("again by /proc"):
    names(check(libc.open(b"/proc/self/fd/%d" % place, os.O_RDONLY | os.O_DIRECTORY)))
with attempt("by the working directory"):
    check(libc.chdir(granted))
    names(check(libc.open(b".", os.O_RDONLY | os.O_DIRECTORY)))
with attempt("by the descriptor of a place"):
    names(place)
