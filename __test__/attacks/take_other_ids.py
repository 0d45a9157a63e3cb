"""Takes on other user and group ids: root's, the host user's, and those that no map names.

group: namespaces, mounts, ids
effect: proves
control: root
"""
SETUID, SETGID, SETREUID, SETREGID, SETGROUPS = 105, 106, 113, 114, 116
SETRESUID, SETRESGID, SETFSUID, SETFSGID = 117, 119, 122, 123
KEEP = -1

def ids():
    status = read("/proc/self/status").decode()
    return [line.split() for line in status.splitlines() if line.startswith(("Uid:", "Gid:", "Groups:"))]

def take(number, *args):
    def child():
        before = ids()
        with attempt(f"{number} {args}"):
            syscall(number, *args)
        os._exit(before != ids())
    if fork(child) == 1:
        won()

for id in {0, 1, arena.uid, 65534, 65535, 0x1_0000_0000, 100_000} - {os.getuid()}:
    for number in (SETUID, SETGID, SETFSUID, SETFSGID):
        take(number, id)
    for number in (SETREUID, SETREGID):
        take(number, KEEP, id)
        take(number, id, KEEP)
    for number in (SETRESUID, SETRESGID):
        take(number, id, id, id)
        take(number, KEEP, KEEP, id)
    take(SETGROUPS, 1, (ctypes.c_uint32 * 1)(id & 0xFFFF_FFFF))
take(SETGROUPS, 0, None)
