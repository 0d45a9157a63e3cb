"""Replaces the symlink that leads to the supervisor's cache of interpreters, which itself it cannot write.

group: files and links
effect: writes
"""
link = arena.directory + "/granted/cache"
with attempt():
    check(libc.unlink(link.encode()))
    for directory in (link, link + "/python-ipc-bun"):
        check(libc.mkdir(directory.encode(), 0o700))
    write(link + "/python-ipc-bun/planted", b"planted")
