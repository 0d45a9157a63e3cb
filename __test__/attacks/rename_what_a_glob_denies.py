"""Gives what a glob denies a name that the glob does not match, alone and with the directory that holds it.

group: denials inside grants
effect: reads
read: granted
write: granted
hide: granted/**/*.key
"""
granted = os.fsencode(arena.directory + "/granted")
for name, new in ((b"/top.key", b"/top.txt"), (b"/sub/in.key", b"/sub/in.txt"), (b"/sub/in.key", b"/in.txt"), (b"/sub.key", b"/free")):
    with attempt(name):
        check(libc.rename(granted + name, granted + new))
    for path in (new, new + b"/in"):
        with attempt(path):
            loot(read(granted + path))
with attempt("its directory"):
    check(libc.rename(granted + b"/sub", granted + b"/other"))
    loot(read(granted + b"/other/in.key"))
