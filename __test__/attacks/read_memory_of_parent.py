"""Reads the memory, environment and registers of its parent, process 1 of the sandbox, by /proc.

group: /proc, /sys and /dev
effect: proves
"""
parent = os.getppid()
for file in ("environ", "auxv", "maps", "smaps", "pagemap", "io", "syscall", "stack", "personality", "numa_maps"):
    for place in (f"/proc/{parent}", f"/proc/{parent}/task/{parent}"):
        with attempt(f"{place}/{file}"):
            if read(f"{place}/{file}", 64):
                won()
for link in ("exe", "cwd", "root", "fd/0", "ns/mnt"):
    with attempt(link):
        check(libc.readlink(f"/proc/{parent}/{link}".encode(), ctypes.create_string_buffer(200), 200))
        won()
for flags in (os.O_RDONLY, os.O_RDWR):
    with attempt(f"mem with {flags}"):
        check(libc.open(f"/proc/{parent}/mem".encode(), flags))
        won()
