"""Executes from many threads, a signal handler and in its own place, to pass a gate that was open once.

group: executing
effect: proves
"""
import signal, threading

EXECVE = 59
arguments = (ctypes.c_char_p * 6)(b"python3", b"-I", b"-S", b"-c", f"print('{arena.proof}')".encode())
variables = (ctypes.c_char_p * 1)()

def execute_here(*_):
    for program in (b"/usr/bin/python3", b"/proc/self/exe"):
        libc.syscall(EXECVE, program, arguments, variables)

def in_handler():
    signal.signal(signal.SIGUSR1, execute_here)
    signal.raise_signal(signal.SIGUSR1)

def in_threads():
    threads = [threading.Thread(target=lambda: [execute_here() for _ in range(100)]) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

fork(in_handler)
fork(in_threads)
# The gate let this very process pass, at its start.
in_threads()
execute_here()
