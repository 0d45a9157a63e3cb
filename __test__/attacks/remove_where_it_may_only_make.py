"""Removes, renames and replaces files and directories in a place where it may make them and nothing else.

group: single rights
effect: writes
"""
RENAME_EXCHANGE, AT_FDCWD, AT_REMOVEDIR = 2, -100, 0x200
granted = os.fsencode(arena.directory + "/granted")
write(granted + b"/new", b"")
for what, call in [
    ("unlink", lambda: libc.unlink(granted + b"/mine")), ("rmdir", lambda: libc.rmdir(granted + b"/empty")),
    ("unlinkat", lambda: libc.unlinkat(AT_FDCWD, granted + b"/empty", AT_REMOVEDIR)),
    ("rename", lambda: libc.rename(granted + b"/mine", granted + b"/moved")), ("replace", lambda: libc.rename(granted + b"/new", granted + b"/mine")),
    ("exchange", lambda: libc.renameat2(AT_FDCWD, granted + b"/new", AT_FDCWD, granted + b"/mine", RENAME_EXCHANGE)),
    ("move", lambda: libc.rename(granted + b"/mine", granted + b"/empty/mine")),
]:
    with attempt(what):
        check(call())
