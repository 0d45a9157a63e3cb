"""Opens a file by its handle, which knows no mounts: the handle of a path, and a made-up one of the file system's root.

group: files and links
effect: reads
read: granted
control: root
"""
import struct

SYS_NAME_TO_HANDLE_AT, SYS_OPEN_BY_HANDLE_AT, AT_FDCWD = 303, 304, -100
directory = check(libc.open(os.fsencode(arena.directory + "/granted"), os.O_RDONLY | os.O_DIRECTORY))
for path in ("/secret", "/granted/link", "/granted/mine"):
    with attempt(path):
        handle, mount = ctypes.create_string_buffer(struct.pack("Ii", 128, 0), 136), ctypes.c_int()
        AT_SYMLINK_FOLLOW = 0x400
        name = os.fsencode(arena.directory + path)
        syscall(SYS_NAME_TO_HANDLE_AT, AT_FDCWD, name, handle, ctypes.byref(mount), AT_SYMLINK_FOLLOW)
        loot(os.read(syscall(SYS_OPEN_BY_HANDLE_AT, directory, handle, os.O_RDONLY), 200))
with attempt("inode 2 of ext4"):
    root = syscall(SYS_OPEN_BY_HANDLE_AT, directory, struct.pack("IiII", 8, 1, 2, 0), os.O_RDONLY)
    loot(os.read(check(libc.openat(root, os.fsencode(arena.directory[1:] + "/secret"), os.O_RDONLY)), 200))
