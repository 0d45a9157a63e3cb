"""Takes a file out of a directory that it may only read, into one below it that it may write.

group: files and links
effect: writes
read: granted
write: granted/scratch
"""
SYS_RENAMEAT2, AT_FDCWD, EXCHANGE, WHITEOUT = 316, -100, 2, 4
granted = os.fsencode(arena.directory + "/granted")
write(granted + b"/scratch/own", b"own")
with attempt("link"):
    check(libc.link(granted + b"/mine", granted + b"/scratch/linked"))
    write(granted + b"/scratch/linked", b"planted")
with attempt("link a symlink"):
    check(libc.link(granted + b"/link", granted + b"/scratch/link"))
for flags in (EXCHANGE, WHITEOUT, 0):
    with attempt(f"rename out with {flags}"):
        syscall(SYS_RENAMEAT2, AT_FDCWD, granted + b"/mine", AT_FDCWD, granted + b"/scratch/taken", flags)
    with attempt(f"rename in with {flags}"):
        syscall(SYS_RENAMEAT2, AT_FDCWD, granted + b"/scratch/own", AT_FDCWD, granted + b"/mine", flags)
with attempt("rename the directory between"):
    check(libc.rename(granted + b"/scratch", granted + b"/moved"))
