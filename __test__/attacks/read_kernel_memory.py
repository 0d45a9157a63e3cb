"""Reads the kernel's memory, or where things are in it.

group: /proc, /sys and /dev
effect: proves
control: root
"""
import struct

for file in ("/proc/kcore", "/dev/mem", "/dev/kmem", "/dev/port", "/proc/iomem", "/proc/vmallocinfo", "/proc/slabinfo",
             "/proc/kpagecount", "/proc/kpageflags", "/proc/pagetypeinfo", "/proc/timer_list", "/sys/kernel/notes",
             "/sys/kernel/btf/vmlinux", "/sys/firmware/acpi/tables/DSDT", "/sys/firmware/dmi/tables/DMI", "/boot/config"):
    for prefix in ("", "/proc/self/root", "/proc/1/root"):
        with attempt(prefix + file):
            if read(prefix + file, 64):
                won()
with attempt("addresses of symbols"):
    if any(line.split()[0].strip(b"0") for line in read("/proc/kallsyms").splitlines()):
        won()
with attempt("its own physical pages"):
    page = ctypes.create_string_buffer(b"x" * 8192)
    pagemap = check(libc.open(b"/proc/self/pagemap", os.O_RDONLY))
    entry, = struct.unpack("Q", os.pread(pagemap, 8, ctypes.addressof(page) // 4096 * 8))
    if entry & (1 << 55) - 1:
        won()
