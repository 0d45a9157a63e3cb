"""Executes what it has written, a script and a copy of a program, in a grant and in scratch space.

group: executing
effect: proves
read: granted
write: granted
"""
code = f"print('{arena.proof}')"
PROGRAMS = (
    (f"#!/bin/sh\necho {arena.proof}\n".encode(), ()),
    (f"#!{os.path.realpath(sys.executable)} -IS\n{code}\n".encode(), ()),
    (read("/proc/self/exe", 16 << 20), ("-I", "-S", "-c", code)),
)
for directory in (arena.directory + "/granted", "/tmp", "/dev/shm"):
    for content, arguments in PROGRAMS:
        path = f"{directory}/planted-{os.getpid()}"
        with attempt(path):
            write(path, content)
            check(libc.chmod(path.encode(), 0o755))
            execute(path, *arguments)
        libc.unlink(path.encode())
