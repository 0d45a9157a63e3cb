"""Reads what names the machine, its users, and how it was started.

group: environment
effect: proves
"""
FILES = (
    "/etc/machine-id", "/etc/hostname", "/etc/shadow", "/etc/resolv.conf", "/var/lib/dbus/machine-id",
    "/var/log/wtmp", "/run/utmp", "/proc/cmdline", "/proc/version", "/proc/keys", "/proc/partitions",
    "/proc/sys/kernel/random/boot_id", "/sys/class/dmi/id/product_uuid",
)
for file in FILES:
    with attempt(file):
        read(file)
        won()
with attempt("/etc/passwd"):
    if len(read("/etc/passwd").splitlines()) > 5:
        won()
