"""Forks as fast as it can while its sandbox is being stopped.

group: survivors
effect: survives
control: none processes so short-lived escape whoever counts them
"""
import time

end = time.monotonic() + 4
for _ in range(8):
    if libc.fork() == 0:
        while time.monotonic() < end:
            if libc.fork() != 0:
                os._exit(0)
        os._exit(0)
