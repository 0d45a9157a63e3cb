"""Changes files that are denied for writing inside a write grant: content, length, mode, times, names.

group: denials inside grants
effect: writes
read: granted
write: granted
keep: granted/sub/kept, granted/sub/alone
"""
AT_FDCWD = -100
sub = os.fsencode(arena.directory + "/granted/sub")
for path in (sub + b"/kept/file", sub + b"/alone"):
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_RDONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND):
        with attempt((path, flags)):
            fd = check(libc.open(path, flags))
            check(libc.write(fd, b"x", 1))
    with attempt("truncate"):
        check(libc.truncate(path, 0))
    with attempt("again by /proc"):
        fd = check(libc.open(path, os.O_RDONLY))
        write(b"/proc/self/fd/%d" % fd, b"x")
    with attempt("chmod"):
        check(libc.chmod(path, 0o600))
    with attempt("fchmod"):
        check(libc.fchmod(fd, 0o600))
    with attempt("unlink"):
        check(libc.unlink(path))
for name in (b"new", b"file2"):
    with attempt(name):
        write(sub + b"/kept/" + name, b"")
with attempt("mkdir"):
    check(libc.mkdir(sub + b"/kept/dir", 0o777))
with attempt("symlink"):
    check(libc.symlink(b"file", sub + b"/kept/link"))
with attempt("hard link"):
    check(libc.link(sub + b"/kept/file", sub + b"/linked"))
    write(sub + b"/linked", b"x")
