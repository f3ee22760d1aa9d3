#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest with two processors that compute and a disk that it writes to: a snapshot of it, from which it
# goes on twice; saving it, and going on from there; files that are no state of a guest.
# Functions are called by check; much is for the guest to expand.
# shellcheck disable=SC2317,SC2016
# shellcheck source=selftests/e2e/lib.sh
. /with/lib.sh

load_device "" || not_ok load
BOOT_TIMEOUT=400
new_overlay state

# What is in memory and on the disk must be of the same moment, whenever that was.
guest_script='head -c 4000000 /dev/urandom >/tmp/data
sum=$(sha256sum </tmp/data)
(while :; do seq 2000 >/dev/null; sleep 0.1; done) & taskset -p 2 $! >/dev/null
n=0
while [ $n -lt 14 ]; do
	n=$((n + 1))
	echo $n >>/root/log
	sync
	[ "$(sha256sum </tmp/data)" = "$sum" ] && same=same || same=DIFFERS
	[ "$(wc -l </root/log)" = $n ] && disk=same || disk=DIFFERS
	echo "TICK $n memory=$same disk=$disk time=$(date +%s) up=$(cut -d. -f1 /proc/uptime)"
	[ $n -lt 7 ] && sleep 0.2 || sleep 0.6
done
kill $!
echo "END $n"'

# ticked CONSOLE N: the guest has said its Nth.
ticked() {
	grep -qasE "^([0-9]+ )?TICK $2 " "$work/$1"
}

wait_for() {
	local i
	for ((i = 0; i < 1500 * slow; i++)); do
		"$@" && return
		sleep 0.2
	done
	return 1
}

# restore FILE CONSOLE [OPTION]...: each line of the console begins with the time when it came.
restore() (
	set -o pipefail
	console=$work/$2 file=$work/$1
	shift 2
	timeout -k 5 $((BOOT_TIMEOUT * slow)) hvm restore "$file" "$@" 2>&1 </dev/null |
		while IFS= read -r line; do
			printf '%(%s)T %s\n' -1 "$line"
		done >"$console"
)

# went_on CONSOLE FIRST: it did so at FIRST or later, to the end, and nothing differed.
went_on() {
	local first
	first=$(grep -am1 -oE 'TICK [0-9]+' "$work/$1" | cut -d' ' -f2)
	[ "$first" -ge "$2" ] && grep -qa 'END 14' "$work/$1" && ! grep -a DIFFERS "$work/$1" && return
	tail -n 20 "$work/$1"
	return 1
}

# time_right CONSOLE: the guest's clock shows what the host's does. A line may come late, but not all do.
time_right() {
	sed -nE 's/^([0-9]+) TICK .* time=([0-9]+) .*/\1 \2/p' "$work/$1" | awk '
		{ d = $1 - $2; if (NR == 1 || d < least) least = d }
		END { print "the host is " least " s ahead"; exit !(NR && least >= -1 && least <= 2) }'
}

refused() {
	local message=$1
	shift
	if timeout 60 "$@" >"$work/err" 2>&1 </dev/null; then
		echo "not refused"
		return 1
	fi
	grep -q -- "$message" "$work/err" && return
	cat "$work/err"
	return 1
}

# ---- A snapshot ----

BOOT_CONSOLE=$work/first hvm_boot state 2 "$guest_script" --name state &
job=$!
check begun wait_for ticked first 2
# It is not to come to its end meanwhile.
hvm pause state
mkdir -p "$work/small" "$work/one" "$work/two"
mount -t tmpfs -o size=8M tmpfs "$work/small"
check disk_full refused 'No space left' hvm snapshot state "$work/small/snap"
check disk_full_nothing_left test -z "$(ls -A "$work/small")"
touch "$work/exists"
check snapshot_exists refused 'force' hvm snapshot state "$work/exists"
hvm resume state
check snapshot hvm snapshot state "$work/snap"
check snapshot_private test "$(stat -c %a "$work/snap")" = 600
wait $job
check first_status test $? = 0
check first_went_on went_on first 1

# ---- From there, twice; one of them is saved on its way ----

check needs_overlays refused 'overlays' hvm restore "$work/snap"
check cannot_start refused 'no such device' hvm restore "$work/snap" --overlays "$work/one" --accel /dev/nothing
check cannot_start_nothing_left test -z "$(ls -A "$work/one")"
restore snap console-one --name one --overlays "$work/one" &
job=$!
restore snap console-two --name two --overlays "$work/two" &
job2=$!
check one_begun wait_for ticked console-one 7
check save hvm save one "$work/saved"
wait $job
check save_status test $? = 0
check save_ended test "$(hvm ps | grep -c one)" = 0
check saved_not_at_end test "$(grep -ac 'END 14' "$work/console-one")" = 0
wait $job2
check two_status test $? = 0
check two_time time_right console-two
check two_went_on went_on console-two 2

# ---- Saved ----

sleep 4
head -c -1 "$work/saved" >"$work/cut"
check cut refused 'cut off' hvm restore "$work/cut"
head -c 3000 "$work/saved" >"$work/cut"
check cut_short refused 'cut off' hvm restore "$work/cut"
check no_state refused 'not the state of a guest' hvm restore /guest/vmlinuz
cp --sparse=always "$work/saved" "$work/changed"
# A byte of what was random data, or the kernel's.
printf x | dd of="$work/changed" bs=1 seek=$((100 << 20)) conv=notrunc 2>/dev/null
check changed_memory refused 'memory is damaged' hvm restore "$work/changed" --verify
printf x | dd of="$work/changed" bs=1 seek=2000 conv=notrunc 2>/dev/null
check changed_state refused 'nothing was started' hvm restore "$work/changed"
restore saved console-saved
check saved_status test $? = 0
check saved_went_on went_on console-saved 7
check saved_time time_right console-saved
check disk_changed refused 'has changed since' hvm restore "$work/saved"

for image in "$work"/state.qcow2* "$work"/*/*.qcow2; do
	check "clean_$(basename "$image")" qemu-img check -q "$image"
done
umount "$work/small"
unload_device
finish
