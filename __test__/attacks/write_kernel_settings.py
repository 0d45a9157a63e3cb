"""Opens settings of the kernel for writing: core handler, program formats, module loader, magic keys.

group: namespaces, mounts, ids
effect: proves
control: root
"""
SETTINGS = (
    "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/vm/drop_caches", "/proc/sys/fs/binfmt_misc/register", "/proc/sys/user/max_user_namespaces",
    "/proc/sysrq-trigger",
    "/sys/kernel/uevent_helper", "/sys/fs/cgroup/cgroup.procs", "/dev/kmsg", "/dev/mem", "/dev/port",
)
for setting in SETTINGS:
    for prefix in ("", "/proc/self/root", "/proc/1/root", "/proc/self/cwd/../../../.."):
        for flags in (os.O_WRONLY, os.O_RDWR):
            with attempt(prefix + setting):
                libc.close(check(libc.open((prefix + setting).encode(), flags)))
                won()
