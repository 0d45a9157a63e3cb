"""Handles page faults itself by userfaultfd, which holds the kernel up in the middle of a call.

group: system calls
effect: proves
"""
USERFAULTFD, O_CLOEXEC, UFFD_USER_MODE_ONLY = 323, 0o2000000, 1

for flags in (0, O_CLOEXEC, UFFD_USER_MODE_ONLY, UFFD_USER_MODE_ONLY | os.O_NONBLOCK):
    with attempt(f"flags {flags}"):
        syscall(USERFAULTFD, flags)
        won()
with attempt("/dev/userfaultfd"):
    check(libc.open(b"/dev/userfaultfd", os.O_RDWR))
    won()
