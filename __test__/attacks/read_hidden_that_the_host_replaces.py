"""Waits until the host renames other files over what is denied, or makes it again, and reads them.

group: denials inside grants
effect: reads
read: granted
write: granted/answers
hide: granted/sub/hidden, granted/sub/key, granted/sub/gone
"""
import time

sub = os.fsencode(arena.directory + "/granted/sub")
names = (b"/key", b"/gone", b"/hidden/secret")
for name in names:  # so that they are known as they are
    libc.access(sub + name, 0)
write(arena.directory + "/granted/answers/ready", b"")
while libc.access(os.fsencode(arena.directory + "/granted/answers/done"), 0) != 0:
    time.sleep(0.002)
for name in names:
    with attempt(name):
        loot(read(sub + name))
with attempt("where it was"):
    loot(read(b"/proc/self/root" + sub + b"/key"))
