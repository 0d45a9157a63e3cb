"""Executes a shell and other programs of the system.

group: executing
effect: proves
"""
for shell in ("/bin/sh", "/usr/bin/sh", "/bin/bash", "/proc/self/root/bin/sh", "/proc/1/root/bin/sh"):
    execute(shell, "-c", f"echo {arena.proof}")
for program in ("/bin/echo", "/usr/bin/env", "/usr/bin/busybox"):
    execute(program, *(["echo"] if "echo" not in program else []), arena.proof)
