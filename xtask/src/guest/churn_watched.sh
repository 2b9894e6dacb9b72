#!/bin/sh
# churn_watched.sh SECONDS: churn.sh under krcu, with the kernel's whole log beside in /out/kernel.log and a line every four
# seconds about what is going on.

mkdir -p /out
# Where the kernel finds what loads a module that it wants.
echo /bin/modprobe >/proc/sys/kernel/modprobe
>/out/steps
echo "the machine is up, krcu attaches"
echo "0 attach" >/tmp/now
(
	while :; do
		# It ends where lines were overwritten before it read them; the next one begins with what is left.
		cat /dev/kmsg >>/out/kernel.log 2>/dev/null &
		echo $! >/tmp/cat
		wait $!
	done
) &
log=$!
(
	while sleep 4; do
		read -r since doing </tmp/now
		read -r up rest </proc/uptime
		printf '%s s: %s (%s steps)\n' "${up%.*}" "$doing" "$(wc -l </out/steps)"
	done
) &
ticker=$!
krcu check --strict --format json --report /out/churn.json --output /out/churn.krcu --stacks 16384 \
	-- sh /churn/churn.sh "$1"
status=$?
kill $log $ticker $(cat /tmp/cat)
echo "krcu has ended with $status; sending what it left"
exit $status
