"""Replaces the symlink that leads to the virtual environment of the host's interpreter, which itself it cannot write.

group: files and links
effect: writes
"""
link = arena.directory + "/granted/.venv"
with attempt():
    check(libc.unlink(link.encode()))
    for directory in (link, link + "/bin"):
        check(libc.mkdir(directory.encode(), 0o755))
    write(link + "/bin/python3", f"#!/bin/sh\necho planted >{arena.directory}/outside\n".encode())
    check(libc.chmod(f"{link}/bin/python3".encode(), 0o755))
with attempt("done"):
    write(arena.directory + "/granted/done", b"")
