"""Makes a device node of the kernel's log, in the grant and in scratch space, and reads it.

group: /proc, /sys and /dev
effect: reads
read: granted
write: granted
control: root
"""
S_IFCHR, KERNEL_LOG = 0o020000, os.makedev(1, 11)
for place in (arena.directory + "/granted", "/dev/shm", "/tmp", "/dev"):
    device = f"{place}/attack-{arena.victim}".encode()
    with attempt(place):
        check(libc.mknod(device, S_IFCHR | 0o666, KERNEL_LOG))
        fd = libc.open(device, os.O_RDONLY | os.O_NONBLOCK)
        libc.unlink(device)
        while message := os.read(check(fd), 8192):
            if b"secret-" in message:
                loot(message)
