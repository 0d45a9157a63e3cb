"""Administers the machine, with arguments such that only the permission counts: modules, swap, quotas, ports.

group: namespaces, mounts, ids
effect: proves
control: root
"""
import errno

nothing = b"/no/such/file"
CALLS = {
    "syslog": (103, 3, ctypes.create_string_buffer(4096), 4096),
    "acct": (163, nothing),
    "swapon": (167, nothing, 0),
    "swapoff": (168, nothing),
    "reboot": (169, 0, 0, 0, None),
    "iopl": (172, 3),
    "ioperm": (173, 0x80, 1, 1),
    "init_module": (175, b"none", 4, b""),
    "delete_module": (176, b"no_such_module", 0),
    "quotactl": (179, 0x80000200, nothing, 0, nothing),
    "lookup_dcookie": (212, 0, ctypes.create_string_buffer(4096), 4096),
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
