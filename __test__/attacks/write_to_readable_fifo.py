"""Writes to a program of the host's through a FIFO in a directory that it may only read.

group: files and links
effect: connects
read: granted
"""
fifo = os.fsencode(arena.directory + "/granted/fifo")
for flags in (os.O_WRONLY, os.O_RDWR):
    with attempt(f"open with {flags}"):
        fd = check(libc.open(fifo, flags | os.O_NONBLOCK))
        check(libc.write(fd, b"x", 1))
with attempt("opened to read, opened again to write"):
    fd = check(libc.open(fifo, os.O_RDONLY | os.O_NONBLOCK))
    fd = check(libc.open(b"/proc/self/fd/%d" % fd, os.O_WRONLY | os.O_NONBLOCK))
    check(libc.write(fd, b"x", 1))
