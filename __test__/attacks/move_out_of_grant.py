"""Links, renames and exchanges files of a write grant to places outside it.

group: files and links
effect: writes
read: granted
write: granted
"""
SYS_RENAMEAT2, AT_FDCWD, NOREPLACE, EXCHANGE, WHITEOUT = 316, -100, 1, 2, 4
granted = os.fsencode(arena.directory + "/granted")
directory = check(libc.open(granted, os.O_PATH | os.O_DIRECTORY))
for name in (b"/a", b"/b", b"/c"):
    write(granted + name, b"planted")
for start, place in ((AT_FDCWD, granted + b"/.."), (AT_FDCWD, granted + b"/linked"), (directory, b"..")):
    with attempt("link"):
        check(libc.linkat(AT_FDCWD, granted + b"/a", start, place + b"/planted", 0))
    with attempt("rename"):
        check(libc.renameat(AT_FDCWD, granted + b"/b", start, place + b"/planted-too"))
    for flags in (NOREPLACE, EXCHANGE, WHITEOUT):
        with attempt(f"renameat2 with {flags}"):
            syscall(SYS_RENAMEAT2, AT_FDCWD, granted + b"/c", start, place + b"/outside", flags)
    with attempt("symlink"):
        check(libc.symlinkat(b"secret", start, place + b"/planted-link"))
