"""Reads what is denied inside a grant through symlinks: of the host, and its own.

group: denials inside grants
effect: reads
read: granted
write: granted
hide: granted/sub/hidden, granted/sub/key
"""
sub = os.fsencode(arena.directory + "/granted/sub")
for number, target in enumerate([b"hidden/secret", b"key", sub + b"/key", b"/proc/self/cwd" + sub + b"/key", b"../sub/./key"]):
    with attempt(target):
        link = sub + b"/planted%d" % number
        check(libc.symlink(target, link))
        loot(read(link))
with attempt("a directory's"):
    check(libc.symlink(b"hidden", sub + b"/door"))
    loot(read(sub + b"/door/secret"))
with attempt("of the host"):
    loot(read(sub + b"/of-the-host"))
