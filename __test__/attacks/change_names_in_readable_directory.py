"""Makes, removes and renames files in a directory that it may only read.

group: files and links
effect: writes
read: granted
"""
granted = os.fsencode(arena.directory + "/granted")
directory = check(libc.open(granted, os.O_RDONLY | os.O_DIRECTORY))
AT_FDCWD, AT_REMOVEDIR, S_IFREG, S_IFIFO, S_IFSOCK = -100, 0x200, 0o100000, 0o010000, 0o140000
check(libc.fchdir(directory))
for start, place in ((AT_FDCWD, granted + b"/"), (directory, b""), (AT_FDCWD, b""), (AT_FDCWD, b"/proc/self/cwd/")):
    for what, call in {
        "open": lambda: libc.openat(start, place + b"planted", os.O_WRONLY | os.O_CREAT, 0o644),
        "open, unnamed": lambda: libc.openat(start, place + b".", os.O_TMPFILE | os.O_RDWR, 0o644),
        "mkdir": lambda: libc.mkdirat(start, place + b"directory", 0o755),
        "symlink": lambda: libc.symlinkat(b"mine", start, place + b"symlink"),
        "link": lambda: libc.linkat(start, place + b"mine", start, place + b"hard", 0),
        "fifo": lambda: libc.mknodat(start, place + b"fifo", S_IFIFO | 0o644, 0),
        "socket": lambda: libc.mknodat(start, place + b"socket", S_IFSOCK | 0o644, 0),
        "file": lambda: libc.mknodat(start, place + b"file", S_IFREG | 0o644, 0),
        "rename": lambda: libc.renameat(start, place + b"mine", start, place + b"yours"),
        "unlink": lambda: libc.unlinkat(start, place + b"link", 0),
        "rmdir": lambda: libc.unlinkat(start, place + b".", AT_REMOVEDIR),
    }.items():
        with attempt(what):
            check(call())
