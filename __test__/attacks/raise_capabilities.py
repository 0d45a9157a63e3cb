"""Raises capabilities in every set, and changes the secure bits that take them away.

group: namespaces, mounts, ids
effect: proves
control: root
"""
CAPGET, CAPSET, VERSION_3, ALL = 125, 126, 0x20080522, 0xFFFF_FFFF
# Not PR_SET_KEEPCAPS, which is everybody's and gives nothing to who has nothing to keep.
PR_GET_SECUREBITS, PR_SET_SECUREBITS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 27, 28, 47, 2
CAPABILITIES = 41

header = (ctypes.c_uint32 * 2)(VERSION_3, 0)
sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then the upper halves
with attempt("secure bits"):
    check(libc.prctl(PR_SET_SECUREBITS, check(libc.prctl(PR_GET_SECUREBITS, 0, 0, 0, 0)), 0, 0, 0))
    won()
with attempt("all"):
    syscall(CAPSET, header, (ctypes.c_uint32 * 6)(*[ALL] * 6))
with attempt("those permitted, inheritable as well"):
    syscall(CAPGET, header, sets)
    sets[2], sets[5] = sets[1], sets[4]
    syscall(CAPSET, header, sets)
for capability in range(CAPABILITIES):
    with attempt(f"ambient {capability}"):
        check(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0))
for line in read("/proc/self/status").decode().splitlines():
    if line.startswith("Cap") and int(line.split()[1], 16):
        won()
