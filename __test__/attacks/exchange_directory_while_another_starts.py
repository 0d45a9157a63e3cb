"""Exchanges a directory with a link, over and over, while other sandboxes with the same grants start.

group: races with the host
effect: reads
read: granted
write: granted
"""
SYS_RENAMEAT2, AT_FDCWD, EXCHANGE = 316, -100, 2
granted = os.fsencode(arena.directory + "/granted")
write(granted + b"/ready", b"")
while libc.access(granted + b"/done", 0) != 0:
    syscall(SYS_RENAMEAT2, AT_FDCWD, granted + b"/sub", AT_FDCWD, granted + b"/linked", EXCHANGE)
