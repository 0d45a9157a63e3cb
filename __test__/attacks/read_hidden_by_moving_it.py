"""Renames what is denied inside a grant, exchanges it, moves the directories above it, and reads it where it then is.

group: denials inside grants
effect: reads
read: granted
write: granted
hide: granted/sub/hidden, granted/sub/key
"""
RENAME_EXCHANGE, AT_FDCWD = 2, -100
granted = os.fsencode(arena.directory + "/granted")
sub = granted + b"/sub"
for name in (b"key", b"hidden"):
    with attempt(b"rename " + name):
        check(libc.rename(sub + b"/" + name, sub + b"/moved-" + name))
        loot(read(sub + b"/moved-" + name + (b"/secret" if name == b"hidden" else b"")))
write(sub + b"/other", b"")
with attempt("exchange"):
    check(libc.renameat2(AT_FDCWD, sub + b"/other", AT_FDCWD, sub + b"/key", RENAME_EXCHANGE))
    loot(read(sub + b"/other"))
with attempt("replace"):
    check(libc.rename(sub + b"/other", sub + b"/key"))
    loot(read(sub + b"/key"))
with attempt("its directory"):
    check(libc.rename(sub, granted + b"/moved"))
    for name in (b"/moved/key", b"/moved/hidden/secret"):
        with attempt(name):
            loot(read(granted + name))
with attempt("another directory in its place"):
    check(libc.mkdir(granted + b"/empty", 0o777))
    check(libc.renameat2(AT_FDCWD, granted + b"/empty", AT_FDCWD, sub, RENAME_EXCHANGE))
    loot(read(granted + b"/empty/key"))
with attempt("unlink"):
    check(libc.unlink(sub + b"/key"))
    loot(read(sub + b"/key"))
