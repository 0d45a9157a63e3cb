"""Reads and changes what its caller's log holds already, when that log is its standard output.

group: inherited descriptors
effect: writes
"""
import mmap

STDOUT = 1
if sys.argv[2:]:
    with attempt("pread"):
        buffer = ctypes.create_string_buffer(200)
        check(libc.pread(STDOUT, buffer, len(buffer), 0))
        os.write(2, buffer.value)
    with attempt("lseek"):
        check(libc.lseek(STDOUT, 0, os.SEEK_SET))
        os.write(STDOUT, b"overwritten")
    with attempt("pwrite"):
        check(libc.pwrite(STDOUT, b"overwritten", 11, 0))
    with attempt("mmap"):
        mmap.mmap(STDOUT, 11)[:] = b"overwritten"
    with attempt("open again"):
        write("/proc/self/fd/1", b"overwritten", os.O_WRONLY)
    with attempt("ftruncate"):
        check(libc.ftruncate(STDOUT, 0))
