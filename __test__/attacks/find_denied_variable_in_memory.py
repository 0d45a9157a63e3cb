"""Finds a variable that is denied, beside others that are allowed: on its stack and in all its memory, its rings included, and in its children's.

group: environment
effect: reads
"""
import re

if sys.argv[2:]:  # nested: what is allowed is there, so that what is denied could be
    assert (os.environ["AWS_REGION"], os.environ["PLAIN"]) == ("here", "plain")

def search():
    memory = check(libc.open(b"/proc/self/mem", os.O_RDONLY))
    for start, end in re.findall(r"^(\w+)-(\w+) r", read("/proc/self/maps").decode(), re.MULTILINE):
        with attempt(start):
            found = re.findall(rb"secret-\w+", os.pread(memory, int(end, 16) - int(start, 16), int(start, 16)))
            if found:
                loot(found)

search()
fork(search)
