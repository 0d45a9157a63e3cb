"""Gives what is denied inside a grant another name by a hard link.

group: denials inside grants
effect: reads
read: granted
write: granted
hide: granted/sub/hidden, granted/sub/key
"""
AT_FDCWD, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH = -100, 0x400, 0x1000
granted = os.fsencode(arena.directory + "/granted")
sub = granted + b"/sub"
for number, (path, flags) in enumerate([(sub + b"/key", 0), (sub + b"/hidden/secret", 0), (b"/proc/self/root" + sub + b"/key", 0)]):
    for directory in (granted, sub):
        with attempt(path):
            name = directory + b"/planted%d" % number
            check(libc.linkat(AT_FDCWD, path, AT_FDCWD, name, flags))
            loot(read(name))
with attempt("by its descriptor"):
    fd = check(libc.open(sub + b"/key", os.O_PATH))
    check(libc.linkat(AT_FDCWD, b"/proc/self/fd/%d" % fd, AT_FDCWD, granted + b"/planted", AT_SYMLINK_FOLLOW))
    loot(read(granted + b"/planted"))
with attempt("by its empty name"):
    check(libc.linkat(fd, b"", AT_FDCWD, granted + b"/planted-too", AT_EMPTY_PATH))
    loot(read(granted + b"/planted-too"))
