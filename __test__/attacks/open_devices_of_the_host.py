"""Opens the host's devices: disks, memory, virtual machines, tunnels, file systems of its own.

group: /proc, /sys and /dev
effect: proves
control: root
"""
DEVICES = (
    "vda", "sda", "nvme0n1", "xvda", "dm-0", "mapper/control", "loop-control", "loop0", "btrfs-control", "zfs", "mem", "kmem",
    "port", "kmsg", "fuse", "cuse", "net/tun", "tap0", "vhost-net", "vhost-vsock", "vsock", "kvm", "userfaultfd", "udmabuf",
    "dma_heap/system", "dri/card0", "dri/renderD128", "fb0", "input/event0", "uinput", "uhid", "hpet", "rtc0", "nvram",
    "snapshot", "mcelog", "cpu/0/msr", "cpu_dma_latency", "autofs", "ptp0", "vfio/vfio", "binder", "ashmem", "i2c-0", "tpm0",
)
for device in DEVICES:
    for prefix in ("/dev/", "/proc/self/root/dev/", "/dev/fd/../../../dev/"):
        for flags in (os.O_RDONLY, os.O_RDWR, 3):
            with attempt(prefix + device):
                libc.close(check(libc.open((prefix + device).encode(), flags | os.O_NONBLOCK)))
                won()
