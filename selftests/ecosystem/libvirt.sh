#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a user does to guests with virsh: libvirt.sh DEVICE [ITEM...]. Each item ends with the guest running
# again, or with it undefined.
# shellcheck disable=SC2317 # items are called by name
# shellcheck source=selftests/ecosystem/lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"

device=${1:-/dev/hv}
shift || true
g=g1

item_validate() {
	virt-host-validate qemu | tee /tmp/validate
	not grep -q FAIL /tmp/validate
}

item_capabilities() {
	virsh capabilities | grep -q "<domain type='kvm'/>"
	virsh domcapabilities --virttype kvm | grep -q "<mode name='host-passthrough' supported='yes'"
	virsh domcapabilities --virttype kvm | grep -q "<mode name='host-model' supported='yes'"
}

item_define_start() {
	define "$g"
	virsh dumpxml "$g" | grep -q "domain type='kvm'"
	started "$g"
	# It is hv that runs it, and hv's device is open for it.
	local pid
	pid=$(cat "/run/libvirt/qemu/$g.pid")
	find "/proc/$pid/fd" -lname '*kvm-vm*' -o -lname '*hv-vm*' | grep -q .
	[ "$device" != /dev/hv ] || [ "$(cat /sys/module/hv/refcnt)" -gt 0 ]
	grep -q HV-GUEST-READY "/var/log/libvirt/qemu/$g-console.log"
	# AppArmor confines it.
	grep -q libvirt- "/proc/$pid/attr/current"
}

item_console() {
	# shellcheck disable=SC2016
	python3 "$here/console.py" "$g" 'echo console-$((6 * 7))' console-42
}

item_suspend_resume() {
	virsh suspend "$g"
	state_is "$g" paused
	not in_guest "$g" true
	virsh resume "$g"
	within 20 answers "$g"
}

item_info() {
	virsh dominfo "$g" | grep -qE '^State: +running'
	virsh domstats "$g" >/tmp/stats
	grep -qE 'cpu.time=[1-9]' /tmp/stats
	grep -qE 'vcpu.0.state=1' /tmp/stats
	grep -qE 'net.0.rx.bytes=[1-9]' /tmp/stats
	# The module's own counters, through QEMU.
	grep -qE 'vcpu.0.exits.sum=[1-9]' /tmp/stats || [ "$(libvirt_major)" = 9 ]
	within 20 sh -c "virsh dommemstat $g | grep -qE '^available [1-9]'"
	virsh domblkstat "$g" vda | grep -qE 'rd_req [1-9]' || in_guest "$g" 'dd if=/dev/vda of=/dev/null bs=64k count=16'
	virsh domblkstat "$g" vda | grep -qE 'rd_req [1-9]'
	virsh cpu-stats "$g" --total | grep -q cpu_time
}

item_setmem() {
	local before after
	before=$(in_guest "$g" "awk '/MemTotal/ { print \$2 }' /proc/meminfo")
	virsh setmem "$g" 160M --live
	within 30 sh -c "virsh dommemstat $g | grep -qE '^actual 163840'"
	after=$(in_guest "$g" "awk '/MemTotal/ { print \$2 }' /proc/meminfo")
	[ $((before - after)) -gt 80000 ]
	virsh setmem "$g" 256M --live
	within 30 sh -c "virsh dommemstat $g | grep -qE '^actual 262144'"
}

item_vcpu_hotplug() {
	[ "$(in_guest "$g" nproc)" = 1 ]
	virsh setvcpus "$g" 2 --live
	within 20 guest_says "$g" yes '[ -d /sys/devices/system/cpu/cpu1 ] && echo yes'
	in_guest "$g" 'echo 1 >/sys/devices/system/cpu/cpu1/online; sleep 1'
	[ "$(in_guest "$g" nproc)" = 2 ]
	virsh vcpucount "$g" --live --active | grep -qx 2
	in_guest "$g" 'echo 0 >/sys/devices/system/cpu/cpu1/online'
	[ "$(in_guest "$g" nproc)" = 1 ]
}

item_attach_disk() {
	qemu-img create -q -f qcow2 "$images/extra.qcow2" 64M
	virsh attach-disk "$g" "$images/extra.qcow2" vdb --driver qemu --subdriver qcow2 --live
	within 20 guest_says "$g" 131072 'cat /sys/block/vdb/size'
	in_guest "$g" 'dd if=/dev/urandom of=/dev/vdb bs=1M count=4 conv=fsync'
	virsh detach-disk "$g" vdb --live
	within 30 sh -c "! virsh domblklist $g | grep -q vdb"
	qemu-img check "$images/extra.qcow2"
	rm "$images/extra.qcow2"
}

item_attach_interface() {
	virsh attach-interface "$g" network default --model virtio --mac 52:54:00:11:22:33 --live
	within 30 sh -c "virsh domifaddr $g | grep -q 52:54:00:11:22:33"
	virsh detach-interface "$g" network --mac 52:54:00:11:22:33 --live
	within 30 sh -c "! virsh domiflist $g | grep -q 52:54:00:11:22:33"
	within 20 answers "$g"
}

item_snapshot_internal() {
	in_guest "$g" 'echo before >/tmp/mark'
	virsh snapshot-create-as "$g" one
	virsh snapshot-list "$g" | grep -qE '^ one .*running'
	in_guest "$g" 'echo after >/tmp/mark'
	virsh snapshot-revert "$g" one
	within 30 answers "$g"
	[ "$(in_guest "$g" 'cat /tmp/mark')" = before ]
	virsh snapshot-delete "$g" one
	[ -z "$(virsh snapshot-list "$g" --name)" ]
}

item_snapshot_external() {
	virsh snapshot-create-as "$g" ext --disk-only --atomic --diskspec "vda,file=$images/$g.ext.qcow2"
	virsh domblklist "$g" | grep -q "$g.ext.qcow2"
	in_guest "$g" 'dd if=/dev/urandom of=/dev/vda bs=1M count=8 seek=64 conv=fsync && dd if=/dev/vda bs=1M count=8 skip=64 | md5sum' \
		>/tmp/written
	# The data go back to the image below, and the guest goes on with that one.
	virsh blockcommit "$g" vda --shallow --active --pivot --wait --timeout 120
	virsh domblklist "$g" | grep -q "/$g.qcow2"
	in_guest "$g" 'echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/vda bs=1M count=8 skip=64 | md5sum' >/tmp/read
	[ "$(grep -oE '^[0-9a-f]{32}' /tmp/written)" = "$(grep -oE '^[0-9a-f]{32}' /tmp/read)" ]
	virsh snapshot-delete "$g" ext --metadata
	rm -f "$images/$g.ext.qcow2"
}

item_blockcopy() {
	virsh blockcopy "$g" vda --dest "$images/$g.copy.qcow2" --format qcow2 --transient-job --pivot --wait --timeout 240
	virsh domblklist "$g" | grep -q "$g.copy.qcow2"
	within 20 answers "$g"
	virsh destroy "$g"
	qemu-img check "$images/$g.copy.qcow2"
	rm "$images/$g.qcow2"
	started "$g"
}

item_save_restore() {
	in_guest "$g" 'echo saved >/tmp/mark; date +%s >/tmp/when'
	virsh save "$g" "$images/$g.save"
	state_is "$g" 'shut off'
	virsh restore "$images/$g.save"
	within 30 answers "$g"
	[ "$(in_guest "$g" 'cat /tmp/mark')" = saved ]
	rm "$images/$g.save"
}

item_managedsave() {
	in_guest "$g" 'echo managed >/tmp/mark'
	virsh managedsave "$g"
	virsh dominfo "$g" | grep -qE '^Managed save: +yes'
	virsh start "$g"
	within 30 answers "$g"
	[ "$(in_guest "$g" 'cat /tmp/mark')" = managed ]
}

item_libvirtd_restart() {
	local pid
	pid=$(cat "/run/libvirt/qemu/$g.pid")
	systemctl restart libvirtd
	within 30 state_is "$g" running
	[ "$(cat "/run/libvirt/qemu/$g.pid")" = "$pid" ]
	answers "$g"
	virsh suspend "$g"
	virsh resume "$g"
}

item_reboot() {
	in_guest "$g" 'echo old >/tmp/mark'
	virsh reset "$g"
	within 120 answers "$g"
	guest_says "$g" new '[ -e /tmp/mark ] || echo new'
}

item_shutdown() {
	virsh shutdown "$g" --mode acpi
	within 60 state_is "$g" 'shut off'
	virsh start "$g"
	within 120 answers "$g"
}

item_autostart() {
	virsh autostart "$g"
	virsh dominfo "$g" | grep -qE '^Autostart: +enable'
	virsh destroy "$g"
	systemctl stop libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket
	rm -f /run/libvirt/qemu/autostarted
	systemctl start libvirtd.service
	within 60 state_is "$g" running
	within 120 answers "$g"
	virsh autostart --disable "$g"
}

item_crash() {
	local pid
	pid=$(cat "/run/libvirt/qemu/$g.pid")
	# QEMU dies: libvirt notices.
	kill -SEGV "$pid"
	within 30 state_is "$g" 'shut off'
	virsh domstate "$g" --reason | grep -q crashed
	started "$g"
	# The guest panics: its pvpanic device tells, on ISA and, which libvirt 9.0 does not know, on PCI.
	local model models='isa pvpanic'
	[ "$(libvirt_major)" -gt 9 ] || models=isa
	for model in $models; do
		gone c1
		EXTRA="<panic model='$model'/>" DISK=none define c1 hv.panic
		virsh start c1
		within 120 state_is c1 crashed
		gone c1
	done
}

item_kill() {
	local pid
	pid=$(cat "/run/libvirt/qemu/$g.pid")
	kill -KILL "$pid"
	within 30 state_is "$g" 'shut off'
	[ ! -d "/proc/$pid" ]
	started "$g"
}

item_virt_install() {
	virt-install --name v1 --memory 256 --vcpus 1 --import --disk none --osinfo detect=off,require=off \
		--network network=default,model=virtio --graphics none --noautoconsole --virt-type kvm \
		--boot "kernel=/guest/vmlinuz,initrd=$images/guest.img,kernel_args=console=ttyS0 quiet cryptomgr.notests"
	within 120 answers v1
	gone v1
}

item_destroy_undefine() {
	virsh destroy "$g"
	state_is "$g" 'shut off'
	virsh pool-refresh default
	virsh undefine "$g" --remove-all-storage
	not virsh dominfo "$g"
	[ ! -e "$images/$g.qcow2" ]
	[ "$device" != /dev/hv ] || within 5 grep -qx 0 /sys/module/hv/refcnt
}

# The next item gets a guest that answers, whatever the last one did.
after_item() {
	case $1 in
	validate | capabilities | destroy_undefine) return ;;
	esac
	answers "$g" >/dev/null 2>&1 || { gone "$g"; define "$g"; started "$g"; } >/dev/null 2>&1
}

if [ $# -gt 0 ] && prepare; then
	{ define "$g" && started "$g"; } >/dev/null
	prepared=1
fi
run_items "$@"
