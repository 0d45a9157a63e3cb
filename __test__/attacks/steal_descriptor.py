"""Takes descriptors of other processes by pidfd_getfd, and speaks through one to the host in the other's name.

group: system calls
effect: connects
control: root
"""
PIDFD_OPEN, PIDFD_GETFD, KCMP, KCMP_FILE, STDOUT = 434, 438, 312, 0, 1

with attempt("of a process of the host"):
    theirs = syscall(PIDFD_GETFD, syscall(PIDFD_OPEN, arena.victim, 0), STDOUT, 0)
    check(libc.write(theirs, b"reached\n", 8))
if os.getppid() == 1:  # PID 1 of the sandbox, whose socket leads to the supervisor
    process = syscall(PIDFD_OPEN, 1, 0)
    for fd in range(20):
        with attempt(f"descriptor {fd} of PID 1"):
            syscall(PIDFD_GETFD, process, fd, 0)
            won()
    with attempt("kcmp"):
        syscall(KCMP, os.getpid(), 1, KCMP_FILE, 1, 1)
        won()
