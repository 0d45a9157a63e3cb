"""Plants a link in a directory that it may write, and reads through it.

group: files and links
effect: reads
read: granted
write: granted
"""
for target in ("../secret", arena.directory + "/secret", "/proc/self/root" + arena.directory + "/secret"):
    with attempt(target):
        link = arena.directory + "/granted/planted"
        libc.unlink(link.encode())
        check(libc.symlink(target.encode(), link.encode()))
        loot(read(link))
