"""Finds a mount where set-user-ID programs would count, or, among data, devices and programs.

group: set-uid bits
effect: proves
write: granted
"""
ST_NOSUID, ST_NODEV, ST_NOEXEC = os.ST_NOSUID, os.ST_NODEV, os.ST_NOEXEC

for path, flags in (("/", ST_NOSUID), (arena.directory + "/granted", ST_NOSUID | ST_NODEV | ST_NOEXEC), ("/tmp", ST_NOSUID | ST_NODEV | ST_NOEXEC)):
    with attempt(path):
        missing = flags & ~os.statvfs(path).f_flag
        print(path, f"{missing:#x}")
        if missing:
            won()
