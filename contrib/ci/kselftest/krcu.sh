#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Runs KRCU_COMMAND under krcu, and prints one test for each module whose slab caches it destroys.
#
# The status is 0 if nothing is flagged, 4 (skip) if this machine cannot run krcu, and krcu's own otherwise.
skip() {
	echo "KTAP version 1"
	echo "1..0 # SKIP $1"
	exit 4
}
command -v krcu >/dev/null || skip "there is no program krcu in PATH"
[ -n "$KRCU_COMMAND" ] || skip "KRCU_COMMAND names nothing to run, such as: modprobe my_module && rmmod my_module"
[ "$(id -u)" -eq 0 ] || skip "krcu needs root"
exec krcu check --format ktap --require-destroy ${KRCU_KNOWN:+--known "$KRCU_KNOWN"} -- sh -c "$KRCU_COMMAND"
