"""Opens the host's terminals, or makes one among them.

group: /proc, /sys and /dev
effect: proves
"""
paths = [b"/dev/tty", b"/dev/console", b"/dev/ptmx", b"/dev/pts/ptmx", b"/dev/tty0", b"/dev/tty1", b"/dev/vcs", b"/dev/ttyS0"]
paths += [b"/dev/pts/%d" % number for number in range(16)]
for path in paths:
    for prefix in (b"", b"/proc/self/root", b"/proc/1/root"):
        with attempt(prefix + path):
            libc.close(check(libc.open(prefix + path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)))
            won()
for number in range(3):
    if libc.isatty(number) == 1:
        won()
