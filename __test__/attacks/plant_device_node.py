"""Plants a device node in a directory that it may write.

group: files and links
effect: writes
read: granted
write: granted
"""
SYS_RENAMEAT2, AT_FDCWD, WHITEOUT, S_IFCHR, S_IFBLK = 316, -100, 4, 0o020000, 0o060000
granted = os.fsencode(arena.directory + "/granted")
disk, kernel_log = os.stat(granted).st_dev, os.makedev(1, 11)
for kind, device in ((S_IFCHR, kernel_log), (S_IFBLK, disk), (S_IFCHR, 0)):
    with attempt(f"mknod {kind:o} {device:#x}"):
        check(libc.mknod(granted + b"/planted%x" % device, kind | 0o666, device))
for flags in (WHITEOUT, WHITEOUT | 1, WHITEOUT | 1 << 32):
    with attempt(f"renameat2 with {flags}"):
        moving = granted + b"/moving%x" % flags
        write(moving, b"")
        syscall(SYS_RENAMEAT2, AT_FDCWD, moving, AT_FDCWD, moving + b"-moved", flags)
