"""Writes, truncates and changes modes through descriptors that its caller has left open.

group: inherited descriptors
effect: writes
"""
import stat

def try_descriptor(fd):
    check(libc.pwrite(fd, b"overwritten", 11, 0))
    check(libc.ftruncate(fd, 3))
    check(libc.fchmod(fd, 0o600))

# In the companion's host alone, and not the memory that the harness shares with the supervisor: without it, there is no attack.
known = [os.fstat(fd) for fd in range(8) if os.path.exists(f"/proc/self/fd/{fd}")]
for fd in range(8, 64) if sys.argv[2:] else ():
    with attempt(fd):
        found = os.fstat(fd)
        if stat.S_ISREG(found.st_mode) and not any(os.path.samestat(found, other) for other in known):
            try_descriptor(fd)
    with attempt(f"make a file at {fd}"):
        check(libc.openat(fd, b"made", os.O_WRONLY | os.O_CREAT, 0o600))
