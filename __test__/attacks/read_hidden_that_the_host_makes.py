"""Waits until the host makes what is denied and was not there, and reads it: a name that it has looked for before, and others.

group: denials inside grants
effect: reads
read: granted
write: granted/answers
hide: granted/sub/hidden, granted/sub/key, granted/sub/gone
"""
import time

sub = os.fsencode(arena.directory + "/granted/sub")
libc.access(sub + b"/key", 0)  # An overlay remembers that it is not there.
write(arena.directory + "/granted/answers/ready", b"")
while libc.access(os.fsencode(arena.directory + "/granted/answers/done"), 0) != 0:
    time.sleep(0.002)
for name in (b"/key", b"/gone", b"/hidden/secret"):
    with attempt(name):
        loot(read(sub + name))
with attempt("its place"):
    loot(os.read(check(libc.openat(check(libc.open(sub, os.O_PATH)), b"gone", os.O_RDONLY)), 200))
