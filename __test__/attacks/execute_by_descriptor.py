"""Executes programs by their descriptors: of the interpreter, of a copy in memory, of a file without a name.

group: executing
effect: proves
read: granted
write: granted
"""
EXECVEAT, MEMFD_CREATE = 322, 319
AT_FDCWD, AT_EMPTY_PATH, O_TMPFILE = -100, 0x1000, 0o20200000

def copy_into(fd):
    program = read("/proc/self/exe", 16 << 20)
    check(libc.write(fd, program, len(program)))
    libc.fchmod(fd, 0o700)
    readable = check(libc.open(f"/proc/self/fd/{fd}".encode(), os.O_RDONLY))
    libc.close(fd)  # no program is executed while somebody may write it
    return readable

def run(fd):
    arguments = (ctypes.c_char_p * 6)(b"python3", b"-I", b"-S", b"-c", f"print('{arena.proof}')".encode())
    variables = (ctypes.c_char_p * 1)()
    fork(lambda: syscall(EXECVEAT, fd, b"", arguments, variables, AT_EMPTY_PATH))
    fork(lambda: syscall(EXECVEAT, AT_FDCWD, b"/proc/self/fd/%d" % fd, arguments, variables, 0))
    fork(lambda: check(libc.fexecve(fd, arguments, variables)))
    fork(lambda: check(libc.execve(b"/proc/self/fd/%d" % fd, arguments, variables)))

for flags in (os.O_RDONLY, os.O_PATH):
    with attempt("the interpreter"):
        run(check(libc.open(b"/proc/self/exe", flags)))
with attempt("memory"):
    run(copy_into(syscall(MEMFD_CREATE, b"x", 0)))
for directory in (arena.directory + "/granted", "/dev/shm"):
    with attempt(directory):
        run(copy_into(check(libc.open(directory.encode(), O_TMPFILE | os.O_RDWR, 0o700))))
