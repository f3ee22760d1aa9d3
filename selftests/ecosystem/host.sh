#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What happens to the host while guests run: host.sh DEVICE [ITEM...].
# shellcheck disable=SC2317 # items are called by name
# shellcheck source=selftests/ecosystem/lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"

device=${1:-/dev/hv}
shift || true
module=hv
[ "$device" = /dev/hv ] || module=kvm_amd

guest() {
	gone h1
	DISK=none CPUS=2 MEM=128 define h1
	sed -i 's/ current=.1.//' /tmp/h1.xml
	virsh define /tmp/h1.xml
	started h1
	fill h1 32
}

# The module stays while it has a guest, and leaves nothing when it goes.
item_unload() {
	guest
	not modprobe -r "$module"
	intact h1
	virsh suspend h1
	not modprobe -r "$module"
	virsh resume h1
	gone h1
	within 10 modprobe -r "$module"
	[ ! -d "/sys/module/$module" ]
	[ ! -e /sys/kernel/debug/hv ] || [ -z "$(ls /sys/kernel/debug/hv)" ]
	not grep -q '^hv' /proc/slabinfo
	modprobe "$module"
	guest
	gone h1
}

# swap_module FROM TO: libvirt's guests run on that from now on.
swap_module() {
	virsh destroy h1 2>/dev/null || true
	within 10 modprobe -r "$1"
	modprobe "$2"
	# libvirt keeps what it learned from the other one.
	systemctl stop libvirtd.service
	rm -rf /var/cache/libvirt/qemu/capabilities
	systemctl start libvirtd.service
}

# Whichever of hv and kvm comes second is refused, and the first one's guest does not notice.
item_owner() {
	if [ ! -e "/lib/modules/$(uname -r)/updates/hv.ko" ]; then
		echo "figure hv is not on this host: nothing to do"
		return
	fi
	guest
	not modprobe kvm_amd
	[ ! -d /sys/module/kvm_amd ]
	intact h1
	swap_module hv kvm_amd
	guest
	dmesg -C
	not modprobe hv
	[ ! -d /sys/module/hv ]
	dmesg | grep -qE '^\[[^]]*\] hv: '
	intact h1
	swap_module kvm_amd hv
	guest
	gone h1
}

# Processors come and go; the guest's threads move.
item_cpu_offline() {
	local i
	guest
	in_guest h1 'for i in 1 2; do awk "BEGIN { for (;;) n++ }" & done >/dev/null 2>&1'
	for i in 1 2 3; do
		echo 0 >/sys/devices/system/cpu/cpu1/online
		within 60 answers h1
		echo 1 >/sys/devices/system/cpu/cpu1/online
		within 60 answers h1
	done
	intact h1
	[ "$(in_guest h1 nproc)" = 2 ]
	# A guest that starts while there is but one.
	echo 0 >/sys/devices/system/cpu/cpu1/online
	guest
	echo 1 >/sys/devices/system/cpu/cpu1/online
	intact h1
	gone h1
}

# The host sleeps (suspend to idle) and wakes; the guest goes on, and its clock has not gone backwards.
item_suspend() {
	local before
	guest
	before=$(in_guest h1 'date +%s')
	rtcwake -m freeze -s 5
	within 60 answers h1
	intact h1
	[ "$(in_guest h1 'date +%s')" -ge "$before" ]
	not sh -c "dmesg | grep -E 'BUG|WARNING: CPU'"
	gone h1
}

# QEMU is killed, whatever the guest is doing.
item_kill() {
	local doing
	for doing in running paused saving starting; do
		guest
		case $doing in
		paused) virsh suspend h1 ;;
		saving) virsh save h1 /var/lib/libvirt/images/h1.save & sleep 0.5 ;;
		starting) virsh reset h1 ;;
		esac
		kill -KILL "$(cat /run/libvirt/qemu/h1.pid)"
		within 60 state_is h1 'shut off'
		wait || true
	done
	gone h1
	[ "$module" != hv ] || within 10 grep -qx 0 /sys/module/hv/refcnt
	guest
	gone h1
	not sh -c "dmesg | grep -E 'BUG|WARNING: CPU'"
}

run_items "$@"
