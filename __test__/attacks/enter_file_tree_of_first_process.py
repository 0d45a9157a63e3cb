"""Enters the file tree of process 1, and of every other process, by /proc/PID/root and its like.

group: /proc, /sys and /dev
effect: reads
"""
secret = arena.directory + "/secret"
pids = {1, os.getppid(), arena.victim, arena.host}
ways = ("root", "cwd/../../../../../..", "task/1/root", "map_files/../root")
for pid in pids:
    for way in ways:
        with attempt(f"{pid} {way}"):
            loot(read(f"/proc/{pid}/{way}{secret}"))
for number in range(20):
    with attempt(f"descriptor {number} of its"):
        directory = check(libc.open(b"/proc/1/fd/%d" % number, os.O_PATH))
        loot(os.read(check(libc.openat(directory, secret[1:].encode(), os.O_RDONLY)), 200))
