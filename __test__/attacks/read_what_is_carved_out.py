"""Reads a file that it may only write, in a directory of which all other files may be read.

group: single rights
effect: reads
read: granted
hide: granted/drop
write: granted/drop, granted/out
"""
import mmap

granted = os.fsencode(arena.directory + "/granted")
drop = granted + b"/drop"
with attempt("open"):
    loot(read(drop))
with attempt("both ways"):
    loot(os.read(check(libc.open(drop, os.O_RDWR)), 200))
written = check(libc.open(drop, os.O_WRONLY | os.O_APPEND))
for what, call in [("read", lambda: os.read(written, 200)), ("pread", lambda: os.pread(written, 200, 0))]:
    with attempt(what):
        loot(call())
with attempt("again by /proc"):
    loot(read(b"/proc/self/fd/%d" % written))
with attempt("mmap"):
    with mmap.mmap(written, 24, mmap.MAP_SHARED, mmap.PROT_READ) as mapped:
        loot(mapped[:])
r, w = os.pipe()
with attempt("splice"):
    os.splice(written, w, 24, 0)
    loot(os.read(r, 200))
with attempt("sendfile"):
    os.sendfile(w, written, 0, 24)
    loot(os.read(r, 200))
for what, call in [("link", libc.link), ("rename", libc.rename)]:
    with attempt(what):
        check(call(drop, granted + b"/out/drop"))
        loot(read(granted + b"/out/drop"))
with attempt("copy"):
    copy = check(libc.open(granted + b"/out/copy", os.O_RDWR | os.O_CREAT, 0o666))
    os.copy_file_range(written, copy, 24, 0, 0)
    loot(os.pread(copy, 200, 0))
