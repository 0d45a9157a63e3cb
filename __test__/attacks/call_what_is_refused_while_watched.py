"""Makes system calls that the filter refuses where each of them is recorded, and so answered by the host.

group: watched calls
effect: proves
"""
import threading

CALLS = {"memfd_create": (319, b"x", 0), "ptrace, TRACEME": (101, 0, 0, 0, 0), "add_key": (248, b"user", b"x", b"x", 1, -2),
         "unshare, user": (272, 0x10000000), "clone, user": (56, 0x10000011, 0, 0, 0, 0)}

def call(names=tuple(CALLS)):
    for name in names:
        number, *arguments = CALLS[name]
        with attempt(name):
            result = syscall(number, *arguments)
            if result == 0 and name.startswith("clone"):
                os._exit(0)
            won()

def in_threads():
    # Where it is let, a bare clone beside threads leaves a child that waits for a lock which nobody holds.
    names = [name for name in CALLS if not name.startswith("clone")]
    threads = [threading.Thread(target=lambda: [call(names) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

call()
fork(call)
fork(in_threads)
