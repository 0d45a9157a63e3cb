"""Watches a directory outside its grants, and learns the names that the host uses there.

group: files and links
effect: reads
read: granted
write: granted
"""
import struct, time

SYS_FANOTIFY_INIT, SYS_FANOTIFY_MARK, AT_FDCWD = 300, 301, -100
CREATE, NONBLOCK, FAN_REPORT_DFID_NAME, FAN_MARK_ADD, FAN_MARK_FILESYSTEM = 0x100, 0o4000, 0xC00, 1, 0x100
granted = os.fsencode(arena.directory + "/granted")
watch = check(libc.inotify_init1(NONBLOCK))
for path in (granted + b"/../closed", granted + b"/linked", b"/proc/self/root" + granted + b"/../closed", b"/proc/self/cwd/.."):
    with attempt(path):
        check(libc.inotify_add_watch(watch, path, CREATE))
watches = [watch]
with attempt("fanotify"):
    fanotify = syscall(SYS_FANOTIFY_INIT, FAN_REPORT_DFID_NAME | 2, os.O_RDONLY)
    watches.append(fanotify)
    for path in (granted, granted + b"/linked"):
        with attempt("the file system"):
            syscall(SYS_FANOTIFY_MARK, fanotify, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, CREATE, AT_FDCWD, path)
write(granted + b"/ready", b"")
while libc.access(granted + b"/done", 0) != 0:
    time.sleep(0.005)
for fd in watches:
    with attempt("events"):
        loot(os.read(fd, 1 << 16))
