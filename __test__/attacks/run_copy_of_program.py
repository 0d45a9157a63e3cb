"""Copies a program to wherever it may write and runs the copy, where some other program is allowed.

group: executing
effect: proves
read: /usr/bin, granted
write: granted
run: /usr/bin/env
"""
program = read("/usr/bin/printf")
for place in (arena.directory + "/granted/env", "/dev/shm/env", "/tmp/env"):
    with attempt(place):
        write(place, program)
        check(libc.chmod(place.encode(), 0o755))
        execute(place, "%s\n", arena.proof)
        execute("/usr/bin/env", place, "%s\n", arena.proof)
    with attempt(place):
        check(libc.unlink(place.encode()))
