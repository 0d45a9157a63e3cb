"""Takes a lease on a file that it may only read: the host's next open to write it would have to wait.

group: files and links
effect: changes the host
read: granted
write: granted/signs
"""
import time

SYS_FCNTL, F_SETLEASE, F_RDLCK, UPPER_HALF = 72, 1024, 0, 1 << 32
granted = os.fsencode(arena.directory + "/granted")
readable = check(libc.open(granted + b"/mine", os.O_RDONLY))
for command in (F_SETLEASE, F_SETLEASE | UPPER_HALF):
    with attempt(f"{command:#x}"):
        syscall(SYS_FCNTL, readable, command, F_RDLCK)
write(granted + b"/signs/ready", b"")
while libc.access(granted + b"/signs/done", 0) != 0:
    time.sleep(0.005)
