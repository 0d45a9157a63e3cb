"""Waits in a directory until the host moves it out of the grant, and goes up from there.

group: races with the host
effect: reads
read: granted
write: granted
"""
import time

sub = os.fsencode(arena.directory + "/granted/sub")
check(libc.chdir(sub))
directory = check(libc.open(b".", os.O_RDONLY | os.O_DIRECTORY))
write("ready", b"")
while libc.access(b"moved", 0) != 0:
    time.sleep(0.002)
by_descriptor = b"/proc/self/fd/%d/../secret" % directory
for way in (b"../secret", b"/proc/self/cwd/../secret", by_descriptor, b"../../secret"):
    with attempt(way):
        loot(read(way))
with attempt("by descriptor"):
    loot(os.read(check(libc.openat(directory, b"../secret", os.O_RDONLY)), 200))
with attempt("one step at a time"):
    check(libc.chdir(b".."))
    loot(read("secret"))
with attempt("planted link"):
    check(libc.symlinkat(b"../secret", directory, b"link"))
    loot(os.read(check(libc.openat(directory, b"link", os.O_RDONLY)), 200))
with attempt("hard link"):
    check(libc.linkat(directory, b"../secret", directory, b"hard", 0))
    loot(os.read(check(libc.openat(directory, b"hard", os.O_RDONLY)), 200))
with attempt("done"):
    check(libc.openat(directory, b"done", os.O_WRONLY | os.O_CREAT, 0o666))
