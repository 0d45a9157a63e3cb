"""Puts something else in the place of what is denied for writing, or of the directories above it.

group: denials inside grants
effect: writes
read: granted
write: granted
keep: granted/sub/kept, granted/sub/alone
"""
RENAME_EXCHANGE, AT_FDCWD = 2, -100
granted = os.fsencode(arena.directory + "/granted")
sub = granted + b"/sub"
write(granted + b"/mine", b"changed")
check(libc.mkdir(granted + b"/tree", 0o777))
check(libc.mkdir(granted + b"/tree/kept", 0o777))
for path in (sub + b"/alone", sub + b"/kept/file"):
    for flags in (0, RENAME_EXCHANGE):
        with attempt((path, flags)):
            check(libc.renameat2(AT_FDCWD, granted + b"/mine", AT_FDCWD, path, flags))
for source, target in ((b"/tree/kept", b"/sub/kept"), (b"/tree", b"/sub")):
    for flags in (0, RENAME_EXCHANGE):
        with attempt((target, flags)):
            check(libc.renameat2(AT_FDCWD, granted + source, AT_FDCWD, granted + target, flags))
with attempt("moved away"):
    check(libc.rename(sub + b"/kept", granted + b"/away"))
with attempt("its directory moved away"):
    check(libc.rename(sub, granted + b"/away"))
