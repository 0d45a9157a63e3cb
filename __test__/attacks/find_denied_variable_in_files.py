"""Finds a variable that is denied, beside others that are allowed, in files: of all processes that it sees, behind its descriptors, and in the tree of the sandbox.

group: environment
effect: reads
"""
import itertools
import re

if sys.argv[2:]:  # nested: what is allowed is there, so that what is denied could be
    assert os.environ["AWS_REGION"] == "here"

def search(path, limit=1 << 20):
    with attempt(path):
        found = re.findall(rb"secret-\w+", read(path, limit))
        if found:
            loot(found)

for pid in ["self", 1, os.getppid()]:
    for name in ("environ", "cmdline", "auxv", "stat", "status", "maps"):
        search(f"/proc/{pid}/{name}")
for fd in range(20):
    with attempt(fd):
        os.lseek(fd, 0, os.SEEK_SET)
    search(f"/proc/self/fd/{fd}", 1 << 22)
for top in ("/.buntime", "/dev/shm", "/tmp", "/etc"):
    files = (os.path.join(directory, name) for directory, _, names in os.walk(top) for name in names)
    for path in itertools.islice(files, 500):  # more than the sandbox has
        search(path, 1 << 16)
