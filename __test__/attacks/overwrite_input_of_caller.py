"""Overwrites the file that is its caller's standard input, opened for reading and writing.

group: inherited descriptors
effect: writes
"""
STDIN = 0

if sys.argv[2:]:
    with attempt("write"):
        check(libc.write(STDIN, b"overwritten", 11))
    with attempt("pwrite"):
        check(libc.pwrite(STDIN, b"overwritten", 11, 0))
    with attempt("open again"):
        write("/proc/self/fd/0", b"overwritten", os.O_WRONLY)
    with attempt("ftruncate"):
        check(libc.ftruncate(STDIN, 0))
    with attempt("fchmod"):
        check(libc.fchmod(STDIN, 0o600))
