"""Makes files, directories, links and pipes in a place where it may change files and nothing else.

group: single rights
effect: writes
"""
granted = os.fsencode(arena.directory + "/granted")
directory = check(libc.open(granted, os.O_PATH | os.O_DIRECTORY))
for what, call in [
    ("open", lambda: libc.open(granted + b"/new", os.O_WRONLY | os.O_CREAT, 0o666)), ("mkdir", lambda: libc.mkdir(granted + b"/dir", 0o777)),
    ("mkdirat", lambda: libc.mkdirat(directory, b"dir2", 0o777)), ("mknod", lambda: libc.mknod(granted + b"/node", 0o100666, 0)),
    ("mkfifo", lambda: libc.mkfifo(granted + b"/pipe", 0o666)), ("symlink", lambda: libc.symlink(b"mine", granted + b"/soft")),
    ("link", lambda: libc.link(granted + b"/mine", granted + b"/hard")), ("rename", lambda: libc.rename(granted + b"/mine", granted + b"/moved")),
    ("O_TMPFILE", lambda: libc.open(granted, os.O_TMPFILE | os.O_WRONLY, 0o666)),
]:
    with attempt(what):
        check(call())
