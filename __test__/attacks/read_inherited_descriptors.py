"""Reads, opens again and sends through descriptors that its caller has left open.

group: inherited descriptors
effect: reads
"""
SENDTO = 44

def try_descriptor(fd):
    buffer = ctypes.create_string_buffer(200)
    with attempt(f"read {fd}"):
        check(libc.pread(fd, buffer, len(buffer), 0))
        loot(buffer.value)
    for path in ("secret", "../secret", arena.directory + "/secret"):
        with attempt(f"open {path} at {fd}"):
            opened = check(libc.openat(fd, path.encode(), os.O_RDONLY))
            check(libc.read(opened, buffer, len(buffer)))
            loot(buffer.value)
    with attempt(f"open {fd} again"):
        loot(read(f"/proc/self/fd/{fd}", 200))
    with attempt(f"send through {fd}"):
        syscall(SENDTO, fd, arena.proof.encode(), len(arena.proof), 0, None, 0)

# Those below are the protocol's, and a read of some would wait.
for fd in range(8, 64):
    try_descriptor(fd)
