"""Executes programs by the ELF loader, which only needs to read them.

group: executing
effect: proves
read: granted
write: granted
"""
import shutil

copy = arena.directory + "/granted/copy"
with attempt("copy"):
    shutil.copyfile(os.path.realpath(sys.executable), copy)
code = f"print('{arena.proof}')"
LOADER = "/lib64/ld-linux-x86-64.so.2"
for loader in (LOADER, os.path.realpath(LOADER)):
    execute(loader, "/bin/echo", arena.proof)
    for program in (os.path.realpath(sys.executable), "/proc/self/exe", copy):
        execute(loader, program, "-I", "-S", "-c", code)
