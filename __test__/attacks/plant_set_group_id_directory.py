"""Plants a directory that hands its group on to what the host makes in it.

group: set-uid bits
effect: writes
read: granted
write: granted
"""
SYS_MKDIR, SYS_MKDIRAT, SYS_CHMOD, SYS_FCHMOD, SYS_FCHMODAT, SYS_FCHMODAT2, AT_FDCWD = 83, 258, 90, 91, 268, 452, -100
S_IFDIR, UPPER_HALF = 0o040000, 1 << 32
check(libc.chdir(os.fsencode(arena.directory + "/granted")))
libc.umask(0)

def existing(name):
    check(libc.mkdir(name, 0o777))
    return check(libc.open(name, os.O_RDONLY | os.O_DIRECTORY))

for mode in (0o2777, 0o4777, 0o6777, 0o2777 | S_IFDIR, 0o2777 | UPPER_HALF):
    for what, call in {
        "mkdir": lambda name: syscall(SYS_MKDIR, name, mode),
        "mkdirat": lambda name: syscall(SYS_MKDIRAT, AT_FDCWD, name, mode),
        "chmod": lambda name: (existing(name), syscall(SYS_CHMOD, name, mode)),
        "fchmod": lambda name: syscall(SYS_FCHMOD, existing(name), mode),
        "fchmodat": lambda name: (existing(name), syscall(SYS_FCHMODAT, AT_FDCWD, name, mode)),
        "fchmodat2": lambda name: (existing(name), syscall(SYS_FCHMODAT2, AT_FDCWD, name, mode, 0)),
    }.items():
        with attempt(f"{what} {mode:o}"):
            call(f"{what} {mode:o}".encode())
with attempt("the grant itself"):
    syscall(SYS_CHMOD, b".", 0o2777)
