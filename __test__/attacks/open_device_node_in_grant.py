"""Reads a device by a node that the host has left in the grant.

group: /proc, /sys and /dev
effect: proves
read: granted
control: root
"""
with attempt("zeros"):
    if read(arena.directory + "/granted/zeros", 16) == bytes(16):
        won()
