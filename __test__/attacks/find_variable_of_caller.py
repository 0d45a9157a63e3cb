"""Finds a variable of its caller's: in its own environment, on its stack, anywhere in its memory.

group: environment
effect: reads
"""
import re

def search(data):
    found = re.findall(rb"secret-\w+", data)
    if found:
        loot(found)

with attempt("environment"):
    search(read("/proc/self/environ"))
memory = check(libc.open(b"/proc/self/mem", os.O_RDONLY))
for start, end in re.findall(r"^(\w+)-(\w+) r", read("/proc/self/maps").decode(), re.MULTILINE):
    with attempt(start):
        search(os.pread(memory, int(end, 16) - int(start, 16), int(start, 16)))
