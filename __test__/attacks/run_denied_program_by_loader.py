"""Runs a program by the loader, which an allowed program brings along.

group: executing
effect: proves
read: /usr/bin, granted
write: granted
run: /usr/bin/env
"""
LOADER = "/lib64/ld-linux-x86-64.so.2"
with attempt("copy"):
    write(arena.directory + "/granted/copy", read("/usr/bin/printf"))
for loader in (LOADER, os.path.realpath(LOADER)):
    for program in ("/usr/bin/printf", "/bin/printf", arena.directory + "/granted/copy"):
        execute(loader, program, "%s\n", arena.proof)
        execute(loader, "--library-path", "/usr/lib/x86_64-linux-gnu", program, "%s\n", arena.proof)
        execute(loader, "--argv0", "env", program, "%s\n", arena.proof)
        execute("/usr/bin/env", loader, program, "%s\n", arena.proof)
