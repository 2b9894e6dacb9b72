#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# run.sh: runs COMMAND, or test.sh beside this file, under krcu, and tells LAVA each case. krcu may lie beside this file.
#
# OPTIONS are more options of krcu check. The status is krcu's own.
cd "$(dirname "$0")" || exit 1
PATH="$PWD:$PATH"
rm -f krcu.txt krcu.ktap
# shellcheck disable=SC2086
krcu check ${OPTIONS---require-destroy} --report krcu.txt --also ktap=krcu.ktap -- sh -c "${COMMAND:-sh ./test.sh}"
status=$?
cat krcu.txt
./report.sh krcu.ktap
exit $status
