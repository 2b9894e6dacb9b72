# Runs /command, hands over its status and /out. Called by the first process of a test machine, or by its systemd.
#
# Four virtio-serial ports lead to the host: the command's output, its error output, a control line, and /out as a
# tar. The two outputs end with a mark, so that the host knows that nothing is missing. The kernel's console is
# nobody's output.

give_up() {
	echo "krcu-init: $1" >/dev/console
	poweroff -f
}

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
/bin/sh /command </dev/null >/run/out 2>/run/err 7>&-
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
