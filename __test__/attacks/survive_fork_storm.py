"""Forks as fast as it can while its sandbox is being stopped.

group: survivors
effect: survives
control: none processes so short-lived escape whoever counts them
"""
import time

end = time.monotonic() + 4 * arena.slowness  # longer than the host looks
for _ in range(8):
    if libc.fork() == 0:
        os.setsid()
        while time.monotonic() < end:
            if libc.fork() != 0:
                time.sleep(0.02)  # long enough to be seen; the next ones are on their way
                os._exit(0)
        os._exit(0)
