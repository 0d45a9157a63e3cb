"""Gives a denied program the name of an allowed one by symlinks of its own.

group: executing
effect: proves
read: /usr/bin, granted
write: granted
run: /usr/bin/env
"""
link = arena.directory + "/granted/env"
with attempt("symlink"):
    check(libc.symlink(b"/usr/bin/printf", link.encode()))
execute(link, "%s\n", arena.proof)
execute("/usr/bin/env", "-i", "PATH=" + arena.directory + "/granted", "env", "%s\n", arena.proof)
for target in (b"/usr/bin/env", b"/usr/bin/printf"):
    with attempt("swap"):
        check(libc.unlink(link.encode()))
        check(libc.symlink(target, link.encode()))
        execute(link, "%s\n", arena.proof)
