"""Makes a file outside its grants readable by a hard link in a directory that it may write.

group: files and links
effect: reads
read: granted
write: granted
"""
AT_FDCWD, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH = -100, 0x400, 0x1000
granted = os.fsencode(arena.directory + "/granted")
directory = check(libc.open(granted, os.O_PATH | os.O_DIRECTORY))
secret = os.fsencode(arena.directory + "/secret")
for number, (path, flags) in enumerate([
    (secret, 0), (granted + b"/../secret", 0), (granted + b"/link", AT_SYMLINK_FOLLOW), (granted + b"/linked/secret", 0),
    (b"/proc/self/root" + secret, 0), (b"/proc/self/cwd" + secret, 0),
]):
    with attempt(path):
        name = granted + b"/planted%d" % number
        check(libc.linkat(AT_FDCWD, path, AT_FDCWD, name, flags))
        loot(read(name))
with attempt("relative to a descriptor"):
    check(libc.linkat(directory, b"../secret", directory, b"planted", 0))
    loot(read(granted + b"/planted"))
