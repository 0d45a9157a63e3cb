"""Leaves a process behind that holds every pipe to the host and writes into the output, though none of it is asked for.

group: survivors
effect: survives
"""
import time

if libc.fork() == 0:
    for fd in range(20, 40):
        libc.dup2(1, fd)
    while True:
        libc.write(1, b"still here\n", 11)
        time.sleep(0.01)
