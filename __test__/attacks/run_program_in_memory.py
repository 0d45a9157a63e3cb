"""Runs a program from memory where some other program is allowed.

group: executing
effect: proves
read: /usr/bin
run: /usr/bin/env
"""
EXECVEAT, AT_EMPTY_PATH = 322, 0x1000
arguments = (ctypes.c_char_p * 4)(b"printf", b"%s\n", arena.proof.encode())
variables = (ctypes.c_char_p * 1)()
for flags in (0, 1, 0x10):
    with attempt("memfd_create"):
        memory = check(libc.memfd_create(b"x", flags & ~1))
        program = read("/usr/bin/printf")
        check(libc.write(memory, program, len(program)))
        execute(f"/proc/self/fd/{memory}", "%s\n", arena.proof)
        execute(f"/dev/fd/{memory}", "%s\n", arena.proof)
        fork(lambda: syscall(EXECVEAT, memory, b"", arguments, variables, AT_EMPTY_PATH))
