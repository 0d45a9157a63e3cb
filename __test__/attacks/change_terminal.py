"""Changes its caller's terminal: its settings, its size, its foreground group and its session.

group: terminals
effect: changes the host
"""
import fcntl, signal, struct, termios

# Who changes a terminal from the background is stopped, unless it is deaf to that.
for number in (signal.SIGTTOU, signal.SIGTTIN, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)

def change(fd):
    with attempt(f"size {fd}"):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 7, 7, 7, 7))
    with attempt(f"foreground {fd}"):
        fcntl.ioctl(fd, termios.TIOCSPGRP, struct.pack("i", os.getpgrp()))
    with attempt(f"session {fd}"):
        fcntl.ioctl(fd, termios.TIOCSCTTY, 0)
    with attempt(f"settings {fd}"):
        settings = bytearray(fcntl.ioctl(fd, termios.TCGETS, bytes(36)))
        settings[12] ^= termios.ECHO
        fcntl.ioctl(fd, termios.TCSETS, bytes(settings))

# Only in the companion's terminal: the control is not to change that of whoever runs the tests.
if sys.argv[2:]:
    for fd in range(10):
        change(fd)
    for name in ("/dev/tty", "/dev/console", "/dev/pts/0"):
        with attempt(name):
            change(check(libc.open(name.encode(), os.O_RDWR)))
