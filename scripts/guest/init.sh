#!/bin/sh
# Process 1 of the guest: makes of the disk what a booted Debian is, runs the specs as root and as a user, and powers off.
# What is to be run is told by the file beside it; the number of failed runs goes to the second serial port.
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o nosuid,nodev tmpfs /dev/shm
mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs /run
mount -t securityfs securityfs /sys/kernel/security
mount -t cgroup2 -o nosuid,nodev,noexec,nsdelegate cgroup2 /sys/fs/cgroup
# As systemd has it.
mount --make-rshared /
ln -sfn /proc/self/fd /dev/fd
cat /etc/hostname >/proc/sys/kernel/hostname
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
ip link set lo up
# An address that is not loopback's, for attacks to try.
ip link add eth0 type dummy && ip address add 192.0.2.1/24 dev eth0 && ip link set eth0 up

cd /opt/buntime || exit
echo "guest: $(uname -sr) ($(uname -v))"
echo "guest: LSMs $(cat /sys/kernel/security/lsm)"
echo "guest: Landlock ABI $(python3 -c 'import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))')"
echo "guest: cgroup controllers $(cat /sys/fs/cgroup/cgroup.controllers)"
echo "guest: $(python3 --version), Node $(node --version)"

users="" specs="" attacks="" slowness=""
# shellcheck source=/dev/null
. ./guest-runs
failed=0
for user in $users; do
  echo "guest: as $user: $specs, $(cut -d' ' -f1 /proc/uptime) s after its start"
  # shellcheck disable=SC2086 # the specs are words
  setpriv --reuid "$user" --regid "$user" --clear-groups --reset-env \
    env LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin BUNTIME_TEST_SLOWNESS="$slowness" BUNTIME_TEST_ATTACKS="$attacks" \
    node scripts/test.mjs node $specs </dev/null
  status=$?
  echo "guest: as $user: exit status $status, $(cut -d' ' -f1 /proc/uptime) s after its start"
  [ "$status" -eq 0 ] || failed=$((failed + 1))
done
dmesg | grep -E 'segfault|BUG:|WARNING:|Out of memory|oom-kill' | tail -20
echo "$failed" >/dev/ttyS1
sync
echo o >/proc/sysrq-trigger
sleep 60
