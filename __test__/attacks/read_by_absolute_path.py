"""Reads a file of the host's by its absolute path.

group: files and links
effect: reads
"""
with attempt():
    loot(read(arena.directory + "/secret"))
