#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Linux's memory manager serves guests like any process: memory.sh DEVICE [ITEM...].
# shellcheck disable=SC2317 # items are called by name
# shellcheck source=selftests/ecosystem/lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"

device=${1:-/dev/hv}
shift || true

pid_of() {
	cat "/run/libvirt/qemu/$1.pid"
}

cgroup_of() {
	local path
	path=$(sed -n 's/^0:://p' "/proc/$(pid_of "$1")/cgroup")
	# The limits are the machine's scope's, above what libvirt makes in it.
	printf '/sys/fs/cgroup%s\n' "${path%.scope*}.scope"
}

# smaps NAME FIELD: MiB of the guest's process.
smaps() {
	awk -v f="$2:" '$1 == f { kib += $2 } END { print int(kib / 1024) }' "/proc/$(pid_of "$1")/smaps_rollup"
}

ksm() {
	cat "/sys/kernel/mm/ksm/$1"
}

guest() {
	gone "$1"
	DISK=none CPUS=1 define "$1" >/dev/null
	started "$1"
}

# Two guests of one kernel have much in common; what one writes then is its own.
item_ksm() {
	local before
	guest m1
	guest m2
	for m in m1 m2; do
		in_guest "$m" 'yes hypervisor | head -c 33554432 >/tmp/same; md5sum /tmp/same' >"/tmp/$m.same"
	done
	before=$(ksm pages_sharing)
	echo 20000 >/sys/kernel/mm/ksm/pages_to_scan
	echo 10 >/sys/kernel/mm/ksm/sleep_millisecs
	echo 1 >/sys/kernel/mm/ksm/run
	within 120 sh -c "[ \$(cat /sys/kernel/mm/ksm/pages_sharing) -gt $((before + 12000)) ]"
	echo "figure $(($(ksm pages_sharing) / 256)) MiB shared between two guests of 256 MiB"
	in_guest m1 'yes something-else | head -c 16777216 | dd of=/tmp/same conv=notrunc bs=64k 2>/dev/null; md5sum /tmp/same' >/tmp/m1.new
	in_guest m2 'md5sum /tmp/same' | cmp - /tmp/m2.same
	not cmp /tmp/m1.new /tmp/m1.same
	in_guest m1 'md5sum /tmp/same' | cmp - /tmp/m1.new
	echo 2 >/sys/kernel/mm/ksm/run
	within 60 grep -qx 0 /sys/kernel/mm/ksm/pages_sharing
	in_guest m1 'md5sum /tmp/same' | cmp - /tmp/m1.new
	in_guest m2 'md5sum /tmp/same' | cmp - /tmp/m2.same
	gone m1
	gone m2
}

# Huge pages back a guest; dirty logging splits what it must, and what is saved is right.
item_thp() {
	guest m1
	fill m1 64
	echo "figure $(smaps m1 AnonHugePages) MiB of huge pages in a guest of 256 MiB"
	[ "$(smaps m1 AnonHugePages)" -ge 100 ]
	virsh managedsave m1
	virsh start m1
	within 30 answers m1
	intact m1
	echo 1 >/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs
	echo 100000 >/sys/kernel/mm/transparent_hugepage/khugepaged/pages_to_scan
	intact m1
	gone m1
}

item_hugetlbfs() {
	gone m1
	echo 140 >/proc/sys/vm/nr_hugepages
	[ "$(cat /proc/sys/vm/nr_hugepages)" = 140 ]
	DISK=none CPUS=1 domain m1 | sed 's,<os>,<memoryBacking><hugepages/></memoryBacking>&,' >/tmp/m1.xml
	virsh define --validate /tmp/m1.xml
	started m1
	[ "$(awk '/HugePages_Free/ { print $2 }' /proc/meminfo)" -le 12 ]
	fill m1 64
	intact m1
	gone m1
	within 20 sh -c "[ \$(awk '/HugePages_Free/ { print \$2 }' /proc/meminfo) = 140 ]"
	echo 0 >/proc/sys/vm/nr_hugepages
}

# swapped CGROUP MIB: more than that much of its memory is swapped out.
swapped() {
	[ $(($(cat "$1/memory.swap.current") >> 20)) -gt "$2" ]
}

# A guest that may keep less than it uses is swapped, and another one does not notice.
item_swap() {
	local cg
	[ -e /swap ] || {
		truncate -s 512M /swap.img
		losetup /dev/loop7 /swap.img
		mkswap /dev/loop7
		swapon /dev/loop7
		touch /swap
	}
	guest m1
	guest m2
	fill m1 128
	fill m2 32
	cg=$(cgroup_of m1)
	echo 120M >"$cg/memory.max"
	within 60 swapped "$cg" 32
	intact m1
	echo "figure $(($(cat "$cg/memory.swap.current") >> 20)) MiB of a guest of 256 MiB swapped out by memory.max of 120 MiB"
	[ "$(cat "$cg/memory.current")" -le $((120 << 20)) ]
	[ "$(cat "$(cgroup_of m2)/memory.swap.current")" = 0 ]
	intact m2
	grep -qx 'oom_kill 0' "$cg/memory.events"
	gone m1
	gone m2
}

# What the balloon takes is free again for others.
item_balloon() {
	local before after
	guest m1
	fill m1 128
	in_guest m1 'rm /tmp/fill'
	before=$(smaps m1 Rss)
	virsh setmem m1 100M --live
	within 60 sh -c "virsh dommemstat m1 | grep -qE '^actual 102400'"
	after=$(smaps m1 Rss)
	echo "figure $before MiB resident, $after after the balloon took 156 MiB"
	[ $((before - after)) -ge 60 ]
	virsh setmem m1 256M --live
	within 60 sh -c "virsh dommemstat m1 | grep -qE '^actual 262144'"
	fill m1 100
	intact m1
	gone m1
}

less_resident() {
	[ "$(smaps "$1" Rss)" -lt "$2" ]
}

# What a guest has freed it says, and the host has it back without being asked.
item_free_page_reporting() {
	local before
	gone m1
	DISK=none CPUS=1 domain m1 | sed "s,<memballoon model='virtio',& freePageReporting='on'," >/tmp/m1.xml
	virsh define --validate /tmp/m1.xml
	started m1
	fill m1 128
	before=$(smaps m1 Rss)
	in_guest m1 'rm /tmp/fill'
	within 90 less_resident m1 $((before - 90))
	echo "figure $before MiB resident, $(smaps m1 Rss) after the guest freed 128 MiB"
	fill m1 100
	intact m1
	gone m1
}

# More memory while the guest runs, and less again.
item_hotplug() {
	local before
	gone m1
	DISK=none CPUS=1 domain m1 | sed "s,<memory ,<maxMemory slots='4' unit='MiB'>1024</maxMemory>&,
		s,<vcpu current='1'>,<vcpu>,
		s,<cpu mode='host-passthrough'/>,<cpu mode='host-passthrough'><numa>\
<cell id='0' cpus='0' memory='256' unit='MiB'/></numa></cpu>," >/tmp/m1.xml
	virsh define --validate /tmp/m1.xml
	started m1
	before=$(in_guest m1 "awk '/MemTotal/ { print \$2 }' /proc/meminfo")
	cat >/tmp/dimm.xml <<-XML
		<memory model='dimm'><target><size unit='MiB'>256</size><node>0</node></target></memory>
	XML
	virsh attach-device m1 /tmp/dimm.xml --live
	# shellcheck disable=SC2016 # the guest's variables
	within 30 guest_says m1 yes 'cd /sys/devices/system/memory
		for b in memory*; do [ "$(cat $b/state)" = online ] || echo online_movable >$b/state; done
		awk "/MemTotal/ && \$2 > '$((before + 200000))' { print \"yes\" }" /proc/meminfo'
	in_guest m1 'mount -o remount,size=95% /tmp'
	fill m1 300
	intact m1
	in_guest m1 'rm /tmp/fill'
	virsh detach-device m1 /tmp/dimm.xml --live
	within 60 sh -c "! virsh dumpxml m1 | grep -q \"memory model='dimm'\""
	within 20 answers m1
	gone m1
}

# The host moves a guest's pages about while it computes.
item_compaction() {
	guest m1
	fill m1 96
	(
		end=$((SECONDS + 20))
		while [ "$SECONDS" -lt "$end" ]; do
			echo 1 >/proc/sys/vm/compact_memory
			echo 3 >/proc/sys/vm/drop_caches
		done
	) &
	for _ in 1 2 3 4; do
		intact m1
	done
	wait
	intact m1
	gone m1
}

run_items "$@"
