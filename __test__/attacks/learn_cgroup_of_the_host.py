"""Learns which group of processes the host is in, and so which service or container.

group: environment
effect: proves
control: none where the host is in no group, it has nothing to hide
"""
for line in read("/proc/self/cgroup").decode().splitlines():
    if line.split(":", 2)[2] != "/":
        won()
