"""Reads the kernel's log: by its call, its device, and a device node that the host left in the grant.

group: /proc, /sys and /dev
effect: reads
read: granted
control: root
"""
SYS_SYSLOG, READ_ALL = 103, 3

with attempt("syslog"):
    buffer = ctypes.create_string_buffer(1 << 20)
    syscall(SYS_SYSLOG, READ_ALL, buffer, len(buffer))
    loot(buffer.value[-4096:])
for device in ("/dev/kmsg", "/proc/self/root/dev/kmsg", arena.directory + "/granted/kmsg"):
    with attempt(device):
        fd = check(libc.open(device.encode(), os.O_RDONLY | os.O_NONBLOCK))
        while message := os.read(fd, 8192):
            if b"secret-" in message:
                loot(message)
