#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# report.sh FILE: tells LAVA each case of a KTAP file of krcu by lava-test-case.
#
# A case is MODULE.CACHE. A known fault (XFAIL) passes; what could not be decided (ERROR) is `unknown`. Without a file, or
# if the file ends before its last line, the case krcu.report fails.
set -u
file=$1
if ! [ -s "$file" ]; then
	lava-test-case krcu.report --result fail
	exit 0
fi
awk '
	/^  # Subtest: / { module = substr($0, 14) }
	/^  (not )?ok [0-9]+ / {
		result = ($1 == "ok") ? "pass" : "fail"
		sub(/^  (not )?ok [0-9]+ /, "")
		if (match($0, / # (SKIP|ERROR|XFAIL)/)) {
			word = substr($0, RSTART + 3, 4)
			if (word == "SKIP") result = "skip"
			if (word == "ERRO") result = "unknown"
			$0 = substr($0, 1, RSTART - 1)
		}
		name = module "." $0
		gsub(/[^A-Za-z0-9._-]/, "_", name)
		print name, result
	}
	# The last line of a whole file is a remark on the exit status.
	{ last = $0 }
	END { print "krcu.report", (last ~ /^# .*exit status/) ? "pass" : "fail" }
' "$file" | while read -r name result; do
	lava-test-case "$name" --result "$result"
done
