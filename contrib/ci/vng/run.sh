#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# run.sh KERNEL FOLDER COMMAND: boots KERNEL by virtme-ng, and runs COMMAND under krcu there.
#
# FOLDER holds the program krcu and whatever COMMAND needs; the machine may write into it, and COMMAND begins in it. It
# gets krcu.txt, krcu.xml (JUnit), krcu.tap, krcu.ktap, krcu.kcidb.json, and the file `status`. The status of this script
# is krcu's own, and 1 if the machine was lost before krcu had ended. VNG_OPTIONS adds options, such as --disable-kvm, and
# KCIDB_BUILD is the identifier of the kernel's build in KCIDB.
set -u
if [ $# -ne 3 ]; then
	echo "usage: run.sh KERNEL FOLDER COMMAND" >&2
	exit 2
fi
kernel=$1
folder=$(cd "$2" && pwd) || exit 2
rm -f "$folder/status"
cat >"$folder/under-krcu.sh" <<END
#!/bin/sh
cd "$folder" || exit 2
PATH="$folder:\$PATH"
krcu check --require-destroy --report krcu.txt --also junit=krcu.xml --also tap=krcu.tap \\
	--also ktap=krcu.ktap --also kcidb=krcu.kcidb.json --kcidb-build "${KCIDB_BUILD:-krcu:unknown}" \\
	-- sh -c '$(printf %s "$3" | sed "s/'/'\\\\''/g")'
echo \$? >status
END
chmod +x "$folder/under-krcu.sh"
# The file has the status: vng cannot hand one on where the host has no udev.
# shellcheck disable=SC2086
vng --run "$kernel" --memory 1G --cpus 2 --rwdir "$folder" ${VNG_OPTIONS:-} --exec "$folder/under-krcu.sh" </dev/null
if [ ! -s "$folder/status" ]; then
	echo "run.sh: the machine was lost before krcu had ended; VNG_OPTIONS=--verbose shows its console" >&2
	exit 1
fi
cat "$folder/krcu.txt"
exit "$(cat "$folder/status")"
