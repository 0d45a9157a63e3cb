"""Opens files outside a grant with openat2, with each of its ways to resolve a path.

group: files and links
effect: reads
read: granted
"""
import struct

SYS_OPENAT2, AT_FDCWD = 437, -100
NO_XDEV, NO_MAGICLINKS, NO_SYMLINKS, BENEATH, IN_ROOT = 1, 2, 4, 8, 16
directory = check(libc.open(os.fsencode(arena.directory + "/granted"), os.O_PATH | os.O_DIRECTORY))
secret = os.fsencode(arena.directory + "/secret")
for start in (AT_FDCWD, directory):
    for resolve in (0, NO_XDEV, NO_MAGICLINKS, NO_SYMLINKS, BENEATH, IN_ROOT):
        for path in (b"../secret", b"link", b"linked/secret", secret, b"/proc/self/root" + secret):
            with attempt(f"{path!r} with {resolve}"):
                how = struct.pack("QQQ", os.O_RDONLY, 0, resolve)
                loot(os.read(syscall(SYS_OPENAT2, start, path, how, len(how)), 200))
