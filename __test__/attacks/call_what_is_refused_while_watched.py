"""Makes system calls that the filter refuses where each of them is recorded, and so answered by the host.

group: watched calls
effect: proves
"""
import threading

# None that would stop its caller where it is let, as ptrace's TRACEME does, nor one that leaves a half-made process, as clone.
CALLS = {"memfd_create": (319, b"x", 0), "add_key": (248, b"user", b"x", b"x", 1, -2), "unshare, user": (272, 0x10000000)}

def call():
    for name, (number, *arguments) in CALLS.items():
        with attempt(name):
            syscall(number, *arguments)
            won()

def in_threads():
    threads = [threading.Thread(target=lambda: [call() for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

call()
fork(call)
fork(in_threads)
