"""Leads the host's own writing of the policy in force out of the grant by links.

group: files and links
effect: writes
read: granted
write: granted
"""
granted = os.fsencode(arena.directory + "/granted")
with attempt("the file"):
    check(libc.symlink(b"../outside", granted + b"/meta.json"))
with attempt("its directory"):
    check(libc.rename(granted + b"/state", granted + b"/moved"))
    check(libc.symlink(b"../closed", granted + b"/state"))
write(granted + b"/ready", b"")
