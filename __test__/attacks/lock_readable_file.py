"""Locks a file that it may only read, against a host that locks it too.

group: files and links
effect: changes the host
read: granted
write: granted/signs
open: Linux has no right to lock that could be refused
"""
import struct, time

LOCK_EX, LOCK_NB, F_OFD_SETLK, F_RDLCK = 2, 4, 37, 0
granted = os.fsencode(arena.directory + "/granted")
readable = check(libc.open(granted + b"/mine", os.O_RDONLY))
with attempt("flock"):
    check(libc.flock(readable, LOCK_EX | LOCK_NB))
with attempt("a lock of the open file"):
    check(libc.fcntl(readable, F_OFD_SETLK, struct.pack("hhqqi4x", F_RDLCK, 0, 0, 0, 0)))
write(granted + b"/signs/ready", b"")
while libc.access(granted + b"/signs/done", 0) != 0:
    time.sleep(0.005)
