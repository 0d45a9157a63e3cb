"""Floods the host with output by every way: print, both pipes, children.

group: resources
effect: changes the host
control: none the host of the control does not run it
"""
import time

end = time.monotonic() + 0.5
line = "flood" * 200

def flood(fd):
    while time.monotonic() < end:
        libc.write(fd, (line + "\n").encode(), len(line) + 1)

for fd in (1, 2):
    if libc.fork() == 0:
        flood(fd)
        os._exit(0)
while time.monotonic() < end:
    print(line)
    print(line, file=sys.stderr)
    libc.write(1, line.encode(), len(line))
