#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Processors of the host go offline and come back while guests run on them: the guests hear nothing
# of it, and the module has each processor that is there.
# shellcheck source=selftests/e2e/lib.sh
. /with/lib.sh

cpu1=/sys/devices/system/cpu/cpu1/online
if [ ! -w "$cpu1" ]; then
	echo "skip cpus the host has one processor"
	exit 0
fi
load_device "" || not_ok load
total=0
for round in 1 2; do
	/with/uapi/irq_stress_test "$device" >"$work/irq" 2>&1 &
	irq=$!
	/with/uapi/mmu_storm_test "$device" >"$work/mmu" 2>&1 &
	mmu=$!
	times=0
	while kill -0 $irq 2>/dev/null || kill -0 $mmu 2>/dev/null; do
		if ! echo 0 >"$cpu1" || ! sleep 0.3 || ! echo 1 >"$cpu1"; then
			not_ok "round_${round}_hotplug"
			break
		fi
		times=$((times + 1))
		sleep 0.3
	done
	echo "$times times"
	check "round_${round}_interrupts" wait $irq
	check "round_${round}_memory" wait $mmu
	grep -h '^not ok' "$work/irq" "$work/mmu"
	total=$((total + times))
done
check often_enough test "$total" -ge 6
# A processor that comes while the module is loaded, and one that is gone when it is unloaded.
echo 0 >"$cpu1"
unload_device
load_device "" || not_ok load_with_one
echo 1 >"$cpu1"
check guest_on_new_cpu taskset -c 1 /with/uapi/run_test "$device"
echo 0 >"$cpu1"
unload_device
echo 1 >"$cpu1"
finish
