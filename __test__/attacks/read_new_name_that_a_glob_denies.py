"""Waits until the host makes a file of a name that a glob denies, in a directory that it may write, and reads it.

group: denials inside grants
effect: reads
read: granted
write: granted
hide: granted/*.key
open: a glob is looked up when the sandbox is made
"""
import time

granted = os.fsencode(arena.directory + "/granted")
write(granted + b"/ready", b"")
while libc.access(granted + b"/made.key", 0) != 0:
    time.sleep(0.002)
loot(read(granted + b"/made.key"))
