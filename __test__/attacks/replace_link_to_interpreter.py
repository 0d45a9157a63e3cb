"""Replaces the symlink by which the host names its interpreter, for the next start to execute something else.

group: files and links
effect: writes
"""
link = os.fsencode(arena.directory + "/granted/python3")
with attempt():
    check(libc.unlink(link))
    write(link, f"#!/bin/sh\necho planted >{arena.directory}/outside\n".encode())
    check(libc.chmod(link, 0o755))
with attempt("done"):
    write(arena.directory + "/granted/done", b"")
