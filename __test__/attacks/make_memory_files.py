"""Makes files that lie in memory alone, outside every mount: memfd_create and memfd_secret.

group: system calls
effect: proves
"""
MEMFD_CREATE, MEMFD_SECRET = 319, 447
MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_EXEC = 1, 2, 16

for flags in (0, MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_EXEC):
    with attempt(f"memfd_create {flags}"):
        syscall(MEMFD_CREATE, b"x", flags)
        won()
with attempt("memfd_secret"):
    syscall(MEMFD_SECRET, 0)
    won()
