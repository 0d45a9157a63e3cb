"""Changes semaphores of System V that the host and others share.

group: /proc, /sys and /dev
effect: changes the host
"""
SEMGET, SEMOP, SEMCTL, SEMTIMEDOP, SETVAL = 64, 65, 66, 220, 16
operation = (ctypes.c_short * 3)(0, 1, 0)

with attempt("by its key"):
    semaphores = syscall(SEMGET, arena.victim, 0, 0)
    with attempt("semop"):
        syscall(SEMOP, semaphores, operation, 1)
    with attempt("semtimedop"):
        syscall(SEMTIMEDOP, semaphores, operation, 1, None)
    with attempt("semctl"):
        syscall(SEMCTL, semaphores, 0, SETVAL, 7)
