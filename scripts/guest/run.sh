#!/usr/bin/env bash
# Runs specs on the stock kernel of Debian 12 (6.1), in an emulated machine: `sudo bash scripts/guest/run.sh [SPEC…]`, after
# `npm run build` on Debian 12 (the guest has its C library). Without names: attacks and sandbox. About 15 times slower than the
# machine it runs on.
#
#   --clean          removes what is kept between runs
#
# In the environment:
#   GUEST_CACHE      what is kept between runs: the guest's root and kernel (/tmp/buntime-guest)
#   GUEST_KERNEL     Debian's package of the kernel (the newest linux-image-6.1.0-*-cloud-amd64)
#   GUEST_USERS      as whom the specs run ("root guest")
#   GUEST_ATTACKS    a regular expression: only the attacks whose file names it matches (all)
#   GUEST_SLOWNESS   what the specs' limits are multiplied by (10)
#   GUEST_NICE       how far it stands back for the rest of the machine (15): on a busy one a test takes minutes at 15
#   GUEST_LIMIT      seconds until the machine is given up (5400)
#
# Needs: apt-get install qemu-system-x86 debootstrap busybox-static cpio e2fsprogs
set -euo pipefail
cd "$(dirname "$0")/../.."

cache="${GUEST_CACHE:-/tmp/buntime-guest}"
case "${1:-}" in
  --clean)
    rm -rf --one-file-system "$cache"
    exit
    ;;
  -*)
    echo "unknown flag $1, expected --clean or names of spec files" >&2
    exit 2
    ;;
esac
[ "$(id -u)" -eq 0 ] || { echo "needs root, for the owners of the guest's files" >&2; exit 2; }
for tool in qemu-system-x86_64 debootstrap busybox cpio mke2fs dpkg-deb; do
  command -v "$tool" >/dev/null || { echo "$tool is not installed, see the top of $0" >&2; exit 2; }
done
addon=npm/linux-x64-gnu/python-ipc-bun.linux-x64-gnu.node
[ -e "$addon" ] || { echo "$addon is not there: npm run build" >&2; exit 2; }

mkdir -p "$cache"
work="$(mktemp -d "$cache/run-XXXXXX")"
trap 'rm -rf --one-file-system "$work"' EXIT

# Kept from run to run, and in place only when it is whole.
if [ ! -d "$cache/kernel" ]; then
  package="${GUEST_KERNEL:-$(apt-cache pkgnames linux-image-6.1.0- | grep -E '^linux-image-6\.1\.0-[0-9]+-cloud-amd64$' | sort -V | tail -1)}"
  echo "fetching $package"
  (cd "$work" && apt-get download -q "$package")
  # Unpacked and not installed: this machine keeps its own.
  dpkg-deb -x "$work"/linux-image-*.deb "$work/kernel"
  mv "$work/kernel" "$cache/kernel"
fi
if [ ! -d "$cache/root" ]; then
  echo "making the guest's root"
  debootstrap --variant=minbase --include=python3,kmod,iproute2 bookworm "$work/root" >"$cache/debootstrap.log"
  rm -rf "$work/root/var/cache/apt" "$work/root/var/lib/apt/lists"
  chroot "$work/root" useradd --create-home --shell /bin/sh guest
  echo buntime-guest >"$work/root/etc/hostname"
  mv "$work/root" "$cache/root"
fi

# From here on everything is made anew: it takes seconds.
vmlinuz="$(echo "$cache"/kernel/boot/vmlinuz-*)"
modules="$(echo "$cache"/kernel/lib/modules/*)"
release="$(basename "$modules")"

initrd="$work/initrd"
mkdir -p "$initrd"/{bin,dev,modules,root}
cp "$(command -v busybox)" "$initrd/bin/busybox"
for module in virtio/virtio_ring virtio/virtio virtio/virtio_pci_legacy_dev virtio/virtio_pci_modern_dev virtio/virtio_pci block/virtio_blk; do
  cp "$modules/kernel/drivers/$module.ko" "$initrd/modules/"
done
install -m 755 scripts/guest/initrd.sh "$initrd/init"
(cd "$initrd" && find . | cpio --quiet -o -H newc) >"$work/initrd.cpio"

root="$work/root"
cp -a "$cache/root" "$root"
mkdir -p "$root/lib/modules"
cp -a "$modules" "$root/lib/modules/"
chroot "$root" depmod "$release"
place="$root/opt/buntime"
mkdir -p "$place"
# No node_modules: the specs import only the package itself.
for name in package.json index.js index.d.ts binding.js binding.d.ts bin npm scripts policies examples __test__ src; do
  cp -a "$name" "$place/"
done
chown -R root:root "$place"
chmod -R go=rX "$place"
install -m 755 scripts/guest/init.sh "$place/guest-init"
install -m 755 "$(node -p process.execPath)" "$root/usr/local/bin/node"
# What the guest has no library of its own for.
ldd "$(node -p process.execPath)" | awk '$2 == "=>" { print $3 }' | while read -r library; do
  [ -e "$root$library" ] || install -D "$library" "$root$library"
done
chroot "$root" ldconfig
env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin chroot "$root" node -e 'require("/opt/buntime/index.js")' || { echo "the build does not run on Debian 12: $addon" >&2; exit 2; }
specs=("$@")
[ ${#specs[@]} -gt 0 ] || specs=(attacks.spec.mjs sandbox.spec.mjs)
{
  printf 'users="%s"\n' "${GUEST_USERS:-root guest}"
  printf 'specs="%s"\n' "${specs[*]##*/}"
  printf 'attacks=%q\n' "${GUEST_ATTACKS:-}"
  printf 'slowness="%s"\n' "${GUEST_SLOWNESS:-10}"
} >"$place/guest-runs"
mke2fs -q -t ext4 -d "$root" "$work/disk" 3G >/dev/null
rm -rf "$root"

# KVM would be faster and hangs where it is itself emulated. The guest's mitigations against speculation are off: they cost much
# here, and there is no speculation in an emulated processor. On a busy machine the timer comes too late for the kernel's check of it.
append="console=ttyS0 quiet panic=-1 mitigations=off no_timer_check"
timeout --foreground "${GUEST_LIMIT:-5400}" nice -n "${GUEST_NICE:-15}" qemu-system-x86_64 \
  -machine q35,accel=tcg -cpu max -m 1500 -smp 2 -nodefaults -no-reboot -display none \
  -kernel "$vmlinuz" -initrd "$work/initrd.cpio" -append "$append" \
  -drive "file=$work/disk,format=raw,if=virtio,cache=unsafe" \
  -serial stdio -serial "file:$work/failed" -device virtio-rng-pci || { echo "the guest did not end by itself" >&2; exit 1; }
failed="$(tr -d '\r\n' <"$work/failed")"
[ "$failed" = 0 ] || { echo "failed runs in the guest: ${failed:-it ended early}" >&2; exit 1; }
