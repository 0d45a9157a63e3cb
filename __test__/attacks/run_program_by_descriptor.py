"""Runs a program that it may only read by a descriptor, where some other program is allowed.

group: executing
effect: proves
read: /usr/bin
run: /usr/bin/env
"""
EXECVEAT, AT_EMPTY_PATH, O_PATH = 322, 0x1000, 0x200000
arguments = (ctypes.c_char_p * 4)(b"printf", b"%s\n", arena.proof.encode())
variables = (ctypes.c_char_p * 1)()
for flags in (os.O_RDONLY, O_PATH):
    with attempt("open"):
        fd = check(libc.open(b"/usr/bin/printf", flags))
        for name in (f"/proc/self/fd/{fd}", f"/dev/fd/{fd}"):
            execute(name, "%s\n", arena.proof)
            execute("/usr/bin/env", name, "%s\n", arena.proof)
        fork(lambda: syscall(EXECVEAT, fd, b"", arguments, variables, AT_EMPTY_PATH))
