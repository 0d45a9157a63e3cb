"""Makes the cover over what is denied its own to open, by modes, owners and attributes, and looks below it.

group: denials inside grants
effect: reads
read: granted
write: granted
hide: granted/sub/hidden, granted/sub/key
"""
AT_FDCWD = -100
sub = os.fsencode(arena.directory + "/granted/sub")
for name in (b"/key", b"/hidden"):
    for what, call in [("chmod", lambda path: libc.chmod(path, 0o777)), ("chown", lambda path: libc.chown(path, os.getuid(), os.getgid())),
                       ("utimensat", lambda path: libc.utimensat(AT_FDCWD, path, None, 0)), ("truncate", lambda path: libc.truncate(path, 0)),
                       ("rmdir", libc.rmdir), ("unlink", libc.unlink), ("umount2", lambda path: libc.umount2(path, 2)),
                       ("mkdir", lambda path: libc.mkdir(path + b"/in", 0o777))]:
        with attempt((what, name)):
            check(call(sub + name))
for path in (b"/key", b"/hidden/secret"):
    with attempt(path):
        loot(read(sub + path))
