"""Executes a shell, from many threads and with a path that changes while it is looked at, where every `execve` is recorded.

group: watched calls
effect: proves
"""
import threading

EXECVE = 59
arguments = (ctypes.c_char_p * 4)(b"sh", b"-c", f"echo {arena.proof}".encode())
variables = (ctypes.c_char_p * 1)()
path = ctypes.create_string_buffer(b"/bin/sh", 64)
ended = threading.Event()

def change():
    while not ended.is_set():
        for name in (b"/proc/self/exe", b"/bin/sh"):
            path.value = name

def execute_here():
    for _ in range(200):
        libc.syscall(EXECVE, path, arguments, variables)

def in_threads():
    ended.clear()
    changing = threading.Thread(target=change)
    changing.start()
    threads = [threading.Thread(target=execute_here) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended.set()
    changing.join()

fork(in_threads)
in_threads()
execute("/bin/sh", "-c", f"echo {arena.proof}")
