#!/bin/busybox sh
# The guest's first process: modules, the machine's root over 9p, one program, off.
/bin/busybox mkdir -p /proc /sys /host /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev 2>/dev/null
while read -r module; do
	/bin/busybox insmod /modules/$module.ko 2>/dev/null || echo "NT-MODULE $module"
done < /modules/order
/bin/busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose,ro root /host || echo "NT-FAILED no root"
for place in proc sys dev; do /bin/busybox mount --move /$place /host/$place; done
/bin/busybox mount -t tmpfs -o mode=755 run /host/run
/bin/busybox mkdir -p /host/dev/shm /host/dev/pts
/bin/busybox mount -t tmpfs -o mode=1777 shm /host/dev/shm
/bin/busybox mount -t devpts pts /host/dev/pts
/bin/busybox mount -t cgroup2 cgroup /host/sys/fs/cgroup || echo "NT-FAILED no cgroup2"
/bin/busybox mount -t bpf bpf /host/sys/fs/bpf 2>/dev/null
/bin/busybox mount -t tracefs trace /host/sys/kernel/tracing 2>/dev/null
/bin/busybox ip link set lo up
export HOME=/dev/shm TMPDIR=/dev/shm LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PYTHONDONTWRITEBYTECODE=1 TERM=dumb
echo "NT-UP"
/bin/busybox chroot /host /bin/sh -c "$(/bin/busybox cat /command)" 2>&1
echo "NT-END $?"
/bin/busybox poweroff -f
