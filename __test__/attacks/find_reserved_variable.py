"""Finds a variable that configures the sandbox or the loader, or is denied, where all others are allowed.

group: environment
effect: reads
"""
import re

if sys.argv[2:]:  # nested: what is allowed is there, so that what is denied could be
    assert os.environ["PLAIN"] == "plain"

memory = check(libc.open(b"/proc/self/mem", os.O_RDONLY))
for start, end in re.findall(r"^(\w+)-(\w+) r", read("/proc/self/maps").decode(), re.MULTILINE):
    with attempt(start):
        found = re.findall(rb"secret-\w+", os.pread(memory, int(end, 16) - int(start, 16), int(start, 16)))
        if found:
            loot(found)
