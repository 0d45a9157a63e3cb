"""Reads another file of the host's that took the name of a granted one while the sandbox runs.

group: races with the host
effect: reads
read: granted/mine
write: granted/mine
"""
import time

mine = os.fsencode(arena.directory + "/granted/mine")
fd = check(libc.open(mine, os.O_RDWR))
check(libc.write(fd, b"ready", 5))
while os.fstat(fd).st_nlink > 0:
    time.sleep(0.002)
for path in (mine, b"/proc/self/root" + mine, b"/proc/self/fd/%d" % fd):
    with attempt(path):
        loot(read(path))
