#!/bin/busybox sh
# /init of the initrd: finds the disk and hands over to scripts/guest/init.sh on it.
# shellcheck shell=dash
/bin/busybox mount -t devtmpfs none /dev
# In the order in which they need each other.
for module in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk; do
  /bin/busybox insmod "/modules/$module.ko"
done
until [ -b /dev/vda ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox umount /dev
exec /bin/busybox switch_root /root /opt/buntime/guest-init
