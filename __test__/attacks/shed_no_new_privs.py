"""Sheds the no_new_privs bit, in the process, in a thread and in a child.

group: namespaces, mounts, ids
effect: proves
"""
import threading

PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS = 38, 39

def shed():
    for value in (0, 1 << 32):
        with attempt(f"set to {value}"):
            check(libc.prctl(PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(value), 0, 0, 0))
    if libc.prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0:
        won()

shed()
thread = threading.Thread(target=shed)
thread.start()
thread.join()
fork(shed)
