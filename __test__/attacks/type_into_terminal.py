"""Types into its caller's terminal, by TIOCSTI and TIOCLINUX, on its own descriptors and on /dev/tty.

group: terminals
effect: proves
"""
IOCTL, TIOCSTI, TIOCLINUX, TIOCSCTTY = 16, 0x5412, 0x541C, 0x540E
PASTE = 3

def type_into(fd):
    for high in (0, 1 << 32, 0xFFFF_FFFF << 32):
        with attempt(f"TIOCSTI {fd} {high:#x}"):
            for letter in arena.proof.encode() + b"\n":
                syscall(IOCTL, fd, high | TIOCSTI, bytes([letter]))
        with attempt(f"TIOCLINUX {fd} {high:#x}"):
            syscall(IOCTL, fd, high | TIOCLINUX, bytes([PASTE]))
            won()

# Only in the companion's terminal: the control is not to type into that of whoever runs the tests.
if sys.argv[2:]:
    for fd in range(10):
        type_into(fd)
    for name in ("/dev/tty", "/proc/self/fd/0", "/dev/console", "/dev/tty1", "/dev/pts/0", "/dev/ptmx"):
        with attempt(name):
            fd = check(libc.open(name.encode(), os.O_RDWR | os.O_NOCTTY))
            with attempt(f"TIOCSCTTY {name}"):
                syscall(IOCTL, fd, TIOCSCTTY, 1)
            type_into(fd)
