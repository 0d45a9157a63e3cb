"""Reads what /proc and /sys tell about the machine: its load, processes, disks, locks, command line.

group: /proc, /sys and /dev
effect: proves
"""
FILES = (
    "buddyinfo", "bus/input/devices", "cgroups", "cmdline", "config.gz", "consoles", "cpuinfo", "crypto", "devices", "diskstats",
    "fb", "filesystems", "interrupts", "ioports", "key-users", "keys", "loadavg", "locks", "meminfo", "misc", "modules",
    "partitions", "pressure/cpu", "sched_debug", "schedstat", "softirqs", "stat", "swaps", "sys/kernel/hostname",
    "sys/kernel/random/boot_id", "sysvipc/shm", "uptime", "version", "vmstat", "zoneinfo",
)
SYSTEM = ("/sys/class/net", "/sys/block", "/sys/devices/system/cpu/online", "/sys/fs/cgroup")
for file in [*(f"/proc/{file}" for file in FILES), *SYSTEM]:
    for prefix in ("", "/proc/self/root", "/proc/1/root", "/proc/thread-self/root"):
        with attempt(prefix + file):
            check(libc.open((prefix + file).encode(), os.O_RDONLY))
            won()
