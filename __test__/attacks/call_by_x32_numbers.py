"""Calls the kernel by the numbers of the x32 ABI, which a list of refused numbers does not hold.

group: system calls
effect: proves
control: none few kernels have the x32 ABI
"""
X32 = 0x40000000
MEMFD_CREATE, UNSHARE, KEYCTL, SOCKET, CLONE_NEWUSER, AF_UNIX = 319, 272, 250, 41, 0x10000000, 1

for name, call in {
    "memfd_create": (MEMFD_CREATE, b"x", 0),
    "unshare": (UNSHARE, CLONE_NEWUSER),
    "keyctl": (KEYCTL, 0, -3, 1),
    "socket": (SOCKET, AF_UNIX, 1, 0),
}.items():
    with attempt(name):
        syscall(X32 | call[0], *call[1:])
        won()
