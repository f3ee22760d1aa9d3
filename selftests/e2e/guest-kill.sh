#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# kill -9 of hvm at random moments of a guest that writes: the image stays consistent, the guest's
# file system recovers, and the host keeps nothing.
# shellcheck source=selftests/e2e/lib.sh
. /with/lib.sh

load_device "" || not_ok load
RANDOM=${SEED:-$(date +%N | sed 's/^0*//')}
# shellcheck disable=SC2016 # for the guest to expand
load='i=0; while :; do dd if=/dev/urandom of=/root/f$((i % 7)) bs=64k count=24 conv=fsync 2>/dev/null
rm -f /root/f$(((i + 3) % 7)); i=$((i + 1)); done'

# Never an error. A cluster may be lost, when the kill came after its reference count was made durable
# and before the table that uses it was (status 3): the price of that order, see disks.rst.
# shellcheck disable=SC2317 # called by check
image_consistent() {
	local rc=0
	qemu-img check "$work/kill.qcow2" || rc=$?
	[ "$rc" = 3 ] || return "$rc"
	leaks=$((leaks + 1))
	qemu-img check -r leaks "$work/kill.qcow2"
}

leaks=0
new_overlay kill
for round in 1 2 3 4 5 6; do
	: >"$work/console"
	hvm_boot kill 2 "echo LOAD; $load" --name kill &
	job=$!
	for _ in $(seq 300); do
		grep -qa '^LOAD' "$work/console" && break
		sleep 0.1
	done
	console_has '^LOAD' || { not_ok "kill_${round}_started"; break; }
	sleep $((RANDOM % 3)).$((RANDOM % 90 + 10))
	pkill -9 -x hvm
	wait $job
	check "kill_${round}_image_consistent" image_consistent
done
check kills_seldom_leak test "$leaks" -le 2
hvm_boot kill 1 'dmesg | grep -c "recovery complete"; ls /root | wc -l; touch /root/after && sync'
check guest_recovers console_has 'HV-GUEST-EXIT 0'
check image_clean image_clean kill
hvm ps >"$work/ps"
check not_listed bash -c "! grep -q kill $work/ps"
check base_untouched base_untouched
check no_process bash -c '! pgrep -x hvm'
unload_device
finish
