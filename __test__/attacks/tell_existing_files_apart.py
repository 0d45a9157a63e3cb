"""Tells files that exist outside its grants from files that do not, by how calls fail.

group: files and links
effect: proves
read: granted
"""
granted = os.fsencode(arena.directory + "/granted")
buffer = ctypes.create_string_buffer(4096)
watch = libc.inotify_init1(0)
AT_FDCWD, O_PATH, IN_ACCESS = -100, os.O_PATH, 1
# Number and arguments, where the path is None.
CALLS = {
    "stat": (4, None, buffer), "lstat": (6, None, buffer), "statx": (332, AT_FDCWD, None, 0, 0x7FF, buffer),
    "access": (21, None, 0), "faccessat2": (439, AT_FDCWD, None, 0, 0), "open": (2, None, os.O_RDONLY),
    "open O_PATH": (2, None, O_PATH), "openat2": (437, AT_FDCWD, None, bytes(24), 24), "chdir": (80, None),
    "readlink": (89, None, buffer, 100), "statfs": (137, None, buffer), "getxattr": (191, None, b"user.x", buffer, 100),
    "listxattr": (194, None, buffer, 100), "inotify": (254, watch, None, IN_ACCESS), "rename": (82, None, None),
    "link": (86, None, granted), "utimensat": (280, AT_FDCWD, None, None, 0), "chroot": (161, None), "uselib": (134, None),
    "name_to_handle_at": (303, AT_FDCWD, None, bytes(144), buffer, 0), "open_tree": (428, AT_FDCWD, None, 0),
    "fspick": (433, AT_FDCWD, None, 0), "umount2": (166, None, 8),
}

def answer(call, path):
    number, *arguments = CALLS[call]
    try:
        return syscall(number, *[path if argument is None else argument for argument in arguments]) >= 0
    except OSError as error:
        return error.errno

for place in (granted + b"/..", granted + b"/../closed", granted + b"/linked", b"/proc/self/root" + granted + b"/.."):
    for call in CALLS:
        exists, missing = answer(call, place + b"/secret"), answer(call, place + b"/nothing")
        if exists != missing:
            print(call, place, exists, missing)
            won()
