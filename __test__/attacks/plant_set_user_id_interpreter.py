"""Copies the interpreter into the grant, as a program that runs with the ids of its owner.

group: set-uid bits
effect: writes
read: granted
write: granted
"""
granted = arena.directory + "/granted"
source = check(libc.open(os.path.realpath(sys.executable).encode(), os.O_RDONLY))
size = os.fstat(source).st_size
for number, mode in enumerate((0o4755, 0o2755, 0o6777)):
    name = f"{granted}/python{number}".encode()
    copy = check(libc.open(name, os.O_RDWR | os.O_CREAT, 0o700))
    with attempt("content"):
        check(libc.sendfile(copy, source, ctypes.byref(ctypes.c_long(0)), size))
    with attempt("mode by descriptor"):
        check(libc.fchmod(copy, mode))
    with attempt("mode by name"):
        check(libc.chmod(name, mode))
    with attempt("access list, then mode"):
        everybody = bytes.fromhex("02000000" "01000700ffffffff" "04000500ffffffff" "20000500ffffffff")
        check(libc.setxattr(name, b"system.posix_acl_access", everybody, len(everybody), 0))
        check(libc.fchmod(copy, mode))
    libc.close(copy)
