"""Leaves behind what is never the same process: each forks the next one and ends.

group: survivors
effect: survives
"""
import time

# The control ends by itself, since nobody might catch it; but later than the host looks, which takes longer on a slow machine.
end = time.monotonic() + 5 * arena.slowness
for number in range(12):
    if libc.fork() == 0:
        time.sleep(number / 24)  # so that they are not all on the move at once
        while time.monotonic() < end:
            time.sleep(0.5)
            if libc.fork() != 0:
                os._exit(0)
        os._exit(0)
