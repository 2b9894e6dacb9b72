#!/bin/sh
# churn.sh SECONDS: loads and unloads the modules that /churn/order names until the time is over, with network namespaces and
# links made and taken away beside. A line of the file is a batch: all of its modules are loaded, then all are unloaded.
# /churn/links lists the modules that the links are made by, and /churn/needed these and what they need. What was done is in /out/steps, a step in each line.
# Words of the shell itself do nearly everything here, since starting a program takes an emulated machine long.

step() { echo "$*" >>/out/steps; }
now() { read -r up rest </proc/uptime; up=${up%.*}; }
now
end=$((up + $1))
# A load or an unload that takes longer hangs.
limit=45
main=$$

# The kernel's log and krcu have clocks of their own: both are told at the same moment.
clock() { read -r exact rest </proc/uptime; echo "krcu-churn: clock $exact" >/dev/kmsg; }

# Says that a step hangs.
watchdog() {
	while sleep 2; do
		read -r since doing </tmp/now
		now
		[ $((up - since)) -ge $limit ] && kill -USR1 $main
	done
}

namespaces() { while [ ! -e /tmp/over ]; do unshare -n true; usleep 200000; done; }

links() {
	while [ ! -e /tmp/over ]; do
		for module in $links; do modprobe -q $module; done
		ip link add churn0 type veth peer name churn1
		ip link add churn2 type bridge
		ip link add churn3 type dummy
		brctl addif churn2 churn0
		brctl addif churn2 churn3
		for link in churn0 churn1 churn2 churn3; do ip link set $link up; done
		usleep 100000
		for link in churn2 churn0 churn3; do ip link del $link; done
		usleep 400000
	done
}

# Runs a command: `status` is its status, or `hangs`, and then it is left to itself.
try() {
	now
	echo "$up $*" >/tmp/now
	late=
	"$@" >/tmp/why 2>&1 &
	wait $!
	status=$?
	[ $late ] && kill -0 $! 2>/dev/null && status=hangs
	read -r why </tmp/why
}

# The modules that came since the beginning and are not used, the newest first; `used` are the others.
fresh() {
	found= used=
	while read -r name size uses rest; do
		case " $known $spared " in
		*" $name "*) ;;
		*) if [ "$uses" = 0 ]; then found="$found $name"; else used="$used $name"; fi ;;
		esac
	done </proc/modules
}

load() {
	case $1 in
	play:*) try sh /churn/"${1#play:}" ;;
	*) try modprobe "$1" ;;
	esac
	case $status in
	0) step "loaded $1" ;;
	hangs)
		step "hangs $1 its load takes more than $limit s"
		hung="$hung $1"
		;;
	*) step "refused $1 ${why##*: }" ;;
	esac
}

unload_all() {
	tries=0
	while [ $tries -lt 4 ]; do
		fresh
		[ "$found$used" ] || return
		went=
		for name in $found; do
			try rmmod $name
			case $status in
			0)
				step "unloaded $name"
				went=yes
				;;
			hangs)
				step "stays $name its unload takes more than $limit s"
				known="$known $name" hung="$hung $name"
				;;
			esac
		done
		# What links and namespaces use is soon free.
		if [ ! $went ]; then
			tries=$((tries + 1))
			usleep 150000
		fi
	done
	fresh
	for name in $found $used; do
		case " $needed " in
		*" $name "*) continue ;;
		esac
		case " $used " in
		*" $name "*) step "stays $name it is used or cannot be unloaded" ;;
		*) step "stays $name ${why##*: }" ;;
		esac
		known="$known $name"
	done
}

names() { while read -r name rest; do printf '%s ' "$name"; done </proc/modules; }

read -r links </churn/links
read -r needed </churn/needed
first=$(names) known=$first hung= pass=0 batches=0
trap 'late=yes' USR1
echo "$up begin" >/tmp/now
watchdog &
watchdog=$!
namespaces 2>/dev/null &
links >/dev/null 2>&1 &
clock
while read -r batch; do
	now
	[ $up -ge $end ] && break
	if [ "$batch" = pass ]; then
		pass=$((pass + 1))
		step "pass $pass"
		clock
		# What could not be unloaded is tried again.
		known=$first
		continue
	fi
	echo "krcu-churn: $batch" >/dev/kmsg
	for module in $batch; do
		case " $first $hung " in
		*" $module "*) ;;
		*) load "$module" ;;
		esac
	done
	# The links are made again and again. Their modules go with one batch in eight, or there would be time for nothing else.
	batches=$((batches + 1))
	spared=$needed
	[ $((batches % 8)) = 0 ] && spared=
	unload_all
done </churn/order
clock
>/tmp/over
echo "$up the end" >/tmp/now
# The last links and namespaces.
usleep 2000000
known=$first spared=
unload_all
kill $watchdog
exit 0
