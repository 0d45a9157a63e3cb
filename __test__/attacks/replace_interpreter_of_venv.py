"""Plants code in a virtual environment that it may write, for the host to execute when it starts the next sandbox with it.

group: files and links
effect: writes
"""
granted = arena.directory + "/granted"
venv = granted + "/venv"
planted = f"open({arena.directory + '/outside'!r}, 'w').write('planted')"
program = f"#!/bin/sh\necho planted >{arena.directory}/outside\n".encode()
packages = f"{venv}/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"

for name in ("planted.pth", "sitecustomize.py", "ssl.py"):
    with attempt(name):
        write(f"{packages}/{name}", f"import os; {planted}\n".encode())
with attempt("pyvenv.cfg"):
    write(venv + "/pyvenv.cfg", f"home = {granted}\n".encode())
with attempt("the interpreter"):
    check(libc.rename(f"{venv}/bin/python3".encode(), f"{venv}/bin/old".encode()))
    write(venv + "/bin/python3", program)
    check(libc.chmod(f"{venv}/bin/python3".encode(), 0o755))
with attempt("the whole environment"):
    check(libc.rename(venv.encode(), (granted + "/old").encode()))
    for directory in (venv, venv + "/bin", venv + "/lib", os.path.dirname(packages), packages):
        check(libc.mkdir(directory.encode(), 0o755))
    write(venv + "/bin/python3", program)
    check(libc.chmod(f"{venv}/bin/python3".encode(), 0o755))
with attempt("done"):
    write(arena.directory + "/granted/done", b"")
