#!/bin/busybox sh
# The first process of a test machine: mounts what tests expect, runs /command, hands over its status and /out.
#
# Four virtio-serial ports lead to the host: the command's output, its error output, a control line, and /out as a
# tar. The two outputs end with a mark, so that the host knows that nothing is missing. The kernel's console is
# nobody's output.

export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root TERM=dumb

give_up() {
	echo "krcu-init: $1" >/dev/console
	poweroff -f
}

mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/0 /dev/stdin
ln -s /proc/self/fd/1 /dev/stdout
ln -s /proc/self/fd/2 /dev/stderr
mkdir -p /dev/shm /run
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t tracefs tracefs /sys/kernel/tracing
mount -t debugfs debugfs /sys/kernel/debug
mount -t bpf bpf /sys/fs/bpf
mount -t securityfs securityfs /sys/kernel/security
mount -t cgroup2 cgroup2 /sys/fs/cgroup
hostname krcu-vm
ip link set lo up

# In some kernels these are no modules.
modprobe -q virtio_pci
modprobe -q virtio_console
out=/dev/vport0p1 err=/dev/vport0p2 control=/dev/vport0p3 files=/dev/vport0p4
tries=0
until [ -c $out ] && [ -c $err ] && [ -c $control ] && [ -c $files ]; do
	tries=$((tries + 1))
	[ $tries -gt 500 ] && give_up "the ports to the host did not appear"
	usleep 10000
done
exec 7>$control

mkfifo /run/out /run/err
cat /run/out >$out &
out_cat=$!
cat /run/err >$err &
err_cat=$!
mkdir -p /out
# From here on the console log shows all that the kernel says.
echo 8 >/proc/sys/kernel/printk

cd /root
echo "ready $(cut -d' ' -f1 /proc/uptime)" >&7
sh /command </dev/null >/run/out 2>/run/err 7>&-
status=$?

# A process that the command left behind may hold its output open: give it two seconds.
(usleep 2000000; kill $out_cat $err_cat) 2>/dev/null &
wait $out_cat $err_cat
mark=$(cat /mark)
printf '\001%s' "$mark" >$out
printf '\001%s' "$mark" >$err

if [ -n "$(ls -A /out)" ]; then
	mkfifo /run/sum /run/count
	sha256sum </run/sum >/run/digest &
	sum=$!
	wc -c </run/count >/run/bytes &
	count=$!
	tar -c -f - -C /out . | tee /run/sum /run/count >$files
	wait $sum $count
	echo "out $(cat /run/bytes) $(cut -d' ' -f1 /run/digest)" >&7
fi
echo "status $status" >&7
# The host ends the machine now; this is for a host that does not.
usleep 20000000
poweroff -f
