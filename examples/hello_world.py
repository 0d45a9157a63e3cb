"""A look around from inside the sandbox.

    npx python-ipc-bun run examples/hello_world.py

Compare it with `python3 examples/hello_world.py`, and with what a permission changes:

    npx python-ipc-bun run --allow-read=/etc/hostname examples/hello_world.py
"""

import os
import platform
import socket
import subprocess


def attempt(what, action):
    try:
        print(f"  {what:<24} {action()}")
    except OSError as error:
        print(f"  {what:<24} denied ({type(error).__name__})")


def read(path):
    with open(path, encoding="utf-8") as file:
        return f"read: {file.readline().strip()!r}"


def write(path):
    with open(path, "w", encoding="utf-8") as file:
        file.write("hello")
    os.remove(path)
    return "written"


def connect(address):
    socket.create_connection(address, timeout=2).close()
    return "connected"


def shell(command):
    return f"ran: {subprocess.run(command, shell=True, capture_output=True, text=True, check=False).stdout.strip()!r}"


print(f"Hello from Python {platform.python_version()}!")
print()
print("Who am I?")
print(f"  {'user':<24} {os.getuid()}")
print(f"  {'host':<24} {socket.gethostname()}")
print(f"  {'process':<24} {os.getpid()}")
print(f"  {'environment':<24} {', '.join(sorted(os.environ))}")
print()
print("What may I do?")
attempt("read /etc/hostname", lambda: read("/etc/hostname"))
attempt("read /etc/shadow", lambda: read("/etc/shadow"))
attempt("list the home directory", lambda: f"{len(os.listdir(os.path.expanduser('~')))} entries")
attempt("write to /tmp", lambda: write("/tmp/hello"))
attempt("connect to 1.1.1.1:443", lambda: connect(("1.1.1.1", 443)))
attempt("look up example.com", lambda: socket.gethostbyname("example.com"))
attempt("run a shell", lambda: shell("echo hello"))
