"""Mounts with the calls that work on descriptors, which a filter for mount(2) does not know.

group: namespaces, mounts, ids
effect: proves
control: unshare --mount
"""
OPEN_TREE, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT, FSPICK = range(428, 434)
MOUNT_SETATTR, OPEN_TREE_ATTR = 442, 467
AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE = -100, 0x1000, 0x8000
OPEN_TREE_CLONE, MOVE_MOUNT_F_EMPTY_PATH, FSCONFIG_CMD_CREATE, MOUNT_ATTR_RDONLY = 1, 4, 6, 1
writable = (ctypes.c_uint64 * 4)(0, MOUNT_ATTR_RDONLY)

def move(fd):
    syscall(MOVE_MOUNT, fd, b"", AT_FDCWD, b"/tmp", MOVE_MOUNT_F_EMPTY_PATH)
    won()

with attempt("fsopen"):
    context = syscall(FSOPEN, b"tmpfs", 0)
    syscall(FSCONFIG, context, FSCONFIG_CMD_CREATE, None, None, 0)
    move(syscall(FSMOUNT, context, 0, 0))
for path in (b"/", b"/proc", b"/usr"):
    with attempt(f"open_tree {path}"):
        move(syscall(OPEN_TREE, AT_FDCWD, path, OPEN_TREE_CLONE | AT_RECURSIVE))
    with attempt(f"open_tree_attr {path}"):
        move(syscall(OPEN_TREE_ATTR, AT_FDCWD, path, OPEN_TREE_CLONE, writable, ctypes.sizeof(writable)))
    with attempt(f"move_mount {path}"):
        syscall(MOVE_MOUNT, AT_FDCWD, path, AT_FDCWD, b"/tmp", 0)
        won()
    with attempt(f"fspick {path}"):
        syscall(FSPICK, AT_FDCWD, path, 0)
        won()
    with attempt(f"mount_setattr {path}"):
        syscall(MOUNT_SETATTR, AT_FDCWD, path, AT_RECURSIVE, writable, ctypes.sizeof(writable))
        won()
