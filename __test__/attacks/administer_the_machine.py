"""Administers the machine, with arguments such that only the permission counts: modules, swap, ports, the next kernel.

group: namespaces, mounts, ids
effect: proves
control: root
"""
import errno

# Each asks for the permission before it looks at its arguments, so that any answer but a refusal shows that it was had. ENOSYS is
# of a kernel without the call. (reboot is not among them: in a pid namespace it is that namespace's end.)
nothing = b"/no/such/file"
CALLS = {
    "acct": (163, nothing),
    "swapon": (167, nothing, 0),
    "swapoff": (168, nothing),
    "iopl": (172, 3),
    "ioperm": (173, 0x80, 1, 1),
    "init_module": (175, b"none", 4, b""),
    "delete_module": (176, b"no_such_module", 0),
    "kexec_load": (246, 0, 0, None, 0),
    "finit_module": (313, -1, b"", 0),
    "kexec_file_load": (320, -1, -1, 0, None, 0),
}
for name, call in CALLS.items():
    try:
        syscall(*call)
        won()
    except OSError as error:
        print(name, error)
        if error.errno not in (errno.EPERM, errno.EACCES, errno.ENOSYS):
            won()
