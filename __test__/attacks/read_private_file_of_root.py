"""Reads a file of root's in a granted directory of another user, for whom it was made unreadable.

group: namespaces, mounts, ids
effect: reads
read: granted
control: root
"""
private = arena.directory + "/granted/private"
with attempt("read"):
    loot(read(private))
with attempt("by a descriptor"):
    loot(read(f"/proc/self/fd/{check(libc.open(private.encode(), os.O_PATH))}"))
with attempt("chmod"):
    check(libc.chmod(private.encode(), 0o666))
    loot(read(private))
