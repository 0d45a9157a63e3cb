"""Runs a program that lies among allowed libraries: by its name, by an allowed program, and by the loader.

group: executing
effect: proves
read: granted
run: /usr/bin/env
ffi: granted/allowed
"""
if not ctypes.CDLL(arena.directory + "/granted/allowed/libmine.so").uncompress:
    sys.exit("the allowed library cannot be used")
program, loader = arena.directory + "/granted/allowed/program", "/lib64/ld-linux-x86-64.so.2"
for command in ([program], ["/usr/bin/env", program], [loader, program], [os.path.realpath(loader), program], ["/usr/bin/env", loader, program]):
    execute(*command, "%s\n", arena.proof)
