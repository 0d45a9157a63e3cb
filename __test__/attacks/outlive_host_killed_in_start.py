"""Lives on when its host is killed in the middle of its start.

group: survivors
effect: survives
"""
import time

# In the companion's hosts; the other one has work to do.
if sys.argv[2:]:
    libc.fork()
    time.sleep(60)
