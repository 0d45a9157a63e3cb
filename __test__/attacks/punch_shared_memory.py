"""Punches holes into the memory that it shares with the host, resizes it, and seals it against the host's writing.

group: inherited descriptors
effect: proves
control: worker
"""
import mmap

FALLOCATE, MADVISE, FCNTL, FTRUNCATE, PIDFD_OPEN, PROCESS_MADVISE = 285, 28, 72, 77, 434, 440
PUNCH_HOLE_KEEP_SIZE, COLLAPSE, ZERO_KEEP_SIZE, MADV_REMOVE = 3, 8, 0x11, 9
F_ADD_SEALS, F_SEAL_SEAL, F_SEAL_WRITE, F_SEAL_FUTURE_WRITE = 1033, 1, 8, 16
PAGE, SEGMENT = 4096, 4

with attempt("open again"):
    again = check(libc.open(b"/proc/self/fd/4", os.O_RDWR))
    size = os.fstat(SEGMENT).st_size
    mapping = mmap.mmap(again, size)
    address = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
    last = size - PAGE  # where neither ring comes to in so short a time
    itself = syscall(PIDFD_OPEN, os.getpid(), 0)
    vector = (ctypes.c_size_t * 2)(address + last, PAGE)
    for fd in (SEGMENT, again):
        for name, *call in (
            ("punch", FALLOCATE, fd, PUNCH_HOLE_KEEP_SIZE, last, PAGE),
            ("punch, high bits", FALLOCATE, fd, 1 << 32 | PUNCH_HOLE_KEEP_SIZE, last, PAGE),
            ("collapse", FALLOCATE, fd, COLLAPSE, last, PAGE),
            ("zero", FALLOCATE, fd, ZERO_KEEP_SIZE, last, PAGE),
            ("grow", FALLOCATE, fd, 0, size, PAGE),
            ("remove", MADVISE, address + last, PAGE, MADV_REMOVE),
            ("remove, high bits", MADVISE, address + last, PAGE, 1 << 32 | MADV_REMOVE),
            ("remove of a process", PROCESS_MADVISE, itself, vector, 1, MADV_REMOVE, 0),
            ("shrink", FTRUNCATE, fd, last),
            ("empty", FTRUNCATE, fd, 0),
            ("lengthen", FTRUNCATE, fd, size + PAGE),
            ("seal", FCNTL, fd, F_ADD_SEALS, F_SEAL_WRITE),
            ("seal for later", FCNTL, fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE),
            ("seal the seals", FCNTL, fd, F_ADD_SEALS, F_SEAL_SEAL),
        ):
            with attempt(f"{name} {fd}"):
                syscall(*call)
                print("done:", name)
                won()
