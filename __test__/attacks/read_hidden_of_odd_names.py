"""Reads denied files whose names hold a line break, bytes that are no UTF-8, or thousands of bytes, which a glob matches.

group: denials inside grants
effect: reads
read: granted
hide: granted/**/*.key
"""
granted = os.fsencode(arena.directory + "/granted")
check(libc.chdir(granted))
deep = b"/".join([b"d" * 200] * 19)
for name in (b"line\nbreak.key", b"\xff\xfe.key", "\u00e4 \u202e.key".encode(), deep + b"/x.key"):
    for way in (name, granted + b"/" + name, b"/proc/self/cwd/" + name):
        with attempt(way[-40:]):
            loot(read(way))
with attempt("step by step"):
    for part in deep.split(b"/"):
        check(libc.chdir(part))
    loot(read("x.key"))
