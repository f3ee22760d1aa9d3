#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Live migration between two hosts on one cable, on the first: migrate.sh DEVICE [ITEM...]; on the second:
# migrate.sh second. The guest dirties its memory and answers requests all the while.
# shellcheck disable=SC2317 # items are called by name
# shellcheck source=selftests/ecosystem/lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"

device=${1:-/dev/hv}
shift || true
g=g1
guest_address=10.9.0.50
here_uri=qemu+tcp://host1/system
there_uri=qemu+tcp://host2/system
shared=/shared/$g.qcow2

# The guests' addresses are not libvirt's to know here.
address() {
	echo "$guest_address"
}

# host_up NUMBER: this host's end of the cable, with a bridge for guests, and libvirtd that listens there.
host_up() {
	local nic
	# udev may not have come to its driver yet.
	within 300 sh -c "grep -q 52:54:00:00:0f:0$1 /sys/class/net/*/address"
	nic=$(grep -l "52:54:00:00:0f:0$1" /sys/class/net/*/address | head -n 1 | cut -d/ -f5)
	# Addresses that systemd makes up would be the same on both, which have one machine-id.
	ip link add br0 address "52:54:00:00:0e:0$1" type bridge
	ip link set "$nic" master br0
	ip link set "$nic" up
	ip link set br0 up
	ip addr add "10.9.0.$1/24" dev br0
	hostname "host$1"
	printf '127.0.0.1 localhost\n10.9.0.1 host1\n10.9.0.2 host2\n' >/etc/hosts
	printf 'auth_tcp = "none"\nhost_uuid = "6a0a3c52-59f6-4b7c-9d0e-0b7c1f2e3d0%s"\n' "$1" >>/etc/libvirt/libvirtd.conf
	systemctl stop libvirtd.service
	systemctl start libvirtd-tcp.socket libvirtd.service
	cat >/tmp/link.xml <<-XML
		<network><name>link</name><forward mode='bridge'/><bridge name='br0'/></network>
	XML
	virsh net-define /tmp/link.xml
	virsh net-start link
	"$here/make-guest" $images/guest.img
	mkdir -p /shared
}

# The second host: the disks that both see, and a web server by which the first one has it do things.
second() {
	set -e
	host_up 2
	mkdir -p /export /www/cgi-bin
	mount -t tmpfs -o mode=777 tmpfs /export
	echo '/export *(rw,no_root_squash,insecure,fsid=0)' >/etc/exports
	# A server that has just started waits that long for clients of its former life.
	printf '[nfsd]\ngrace-time=10\nlease-time=10\n' >/etc/nfs.conf
	systemctl start nfs-server
	install -m 755 "$here/run-query" /www/cgi-bin/run
	busybox httpd -p 8080 -h /www
	until [ -e /tmp/finished ]; do sleep 1; done
}

# there COMMAND: done on the second host, whose output it prints.
there() {
	local out
	out=$(ask 10.9.0.2:8080 "($1) 2>&1; echo status \$?")
	printf '%s\n' "$out" | sed '$d'
	[ "$(printf '%s\n' "$out" | tail -n 1)" = 'status 0' ]
}

# accelerator 1|2 hv|kvm: what runs the guests on that host from now on.
accelerator() {
	local commands
	commands="systemctl stop libvirtd.service; modprobe -r hv kvm_amd; modprobe ${2/kvm/kvm_amd};"
	# libvirt keeps what it learned from the other one.
	commands+=" rm -rf /var/cache/libvirt/qemu/capabilities; systemctl start libvirtd.service;"
	commands+=" [ -d /sys/module/${2/kvm/kvm_amd} ] && [ -c /dev/kvm ]"
	case $1 in
	1) sh -c "$commands" ;;
	2) PATIENCE=120 there "$commands" ;;
	esac
}

prepare() {
	host_up 1
	within 1200 there true
	within 120 mount -t nfs4 10.9.0.2:/ /shared
	there 'mount -t nfs4 10.9.0.2:/ /shared'
}

# How often the guest has dirtied its memory is more than that.
rounds_beyond() {
	[ "$(in_guest "$g" 'cat /rounds')" -gt "$1" ]
}

# The guest is on the host of that address, and on that one alone; it goes on where it was.
is_at() {
	local at=$here_uri away=$there_uri before
	[ "$1" = 1 ] || at=$there_uri away=$here_uri
	[ "$(virsh -c "$at" domstate "$g" | head -n 1)" = running ]
	not virsh -c "$away" domstate "$g"
	intact "$g"
	before=$(in_guest "$g" 'cat /rounds')
	within 30 rounds_beyond "$before"
	in_guest "$g" dmesg >/tmp/dmesg
	not grep -E 'soft lockup|Call Trace|stalls on' /tmp/dmesg
}

# guest: on the first host, with 24 MiB whose sum is known and 16 MiB that it writes over and over.
guest() {
	virsh -c "$there_uri" destroy "$g" 2>/dev/null || true
	virsh -c "$there_uri" undefine "$g" 2>/dev/null || true
	virsh destroy "$g" 2>/dev/null || true
	virsh undefine "$g" 2>/dev/null || true
	[ "${DISK:-none}" = none ] || qemu-img create -q -f qcow2 "$DISK" 64M
	DISK=${DISK:-none} CPUS=1 MEM=128 CPU=${CPU:-host-model} NETWORK=link \
		define "$g" "hv.address=$guest_address/24"
	virsh start "$g"
	within 180 answers "$g"
	fill "$g" 24
	# shellcheck disable=SC2016 # the guest's variables
	in_guest "$g" '(n=0; while :; do n=$((n + 1)); yes "round $n" | head -c 16777216 | dd of=/tmp/dirty bs=64k conv=notrunc
		echo $n >/rounds; sleep 0.2; done) >/dev/null 2>&1 &'
	within 30 guest_says "$g" yes '[ -s /rounds ] && echo yes'
}

# migrate 1|2 OPTION...: live, to that host. The figures: what a client saw, and the pause that libvirt measured.
migrate() {
	local to=$1 from_uri=$here_uri to_uri=$there_uri asker rc=0
	[ "$to" = 2 ] || from_uri="$there_uri" to_uri="$here_uri"
	shift
	rm -f /tmp/stop
	python3 "$here/asker.py" "$guest_address" /tmp/stop >/tmp/asked &
	asker=$!
	sleep 2
	timeout 300 virsh -c "$from_uri" migrate --live --persistent --undefinesource "$@" "$g" "$to_uri" || rc=$?
	sleep 2
	touch /tmp/stop
	wait "$asker"
	[ "$rc" = 0 ]
	virsh -c "$to_uri" domjobinfo "$g" --completed | tee /tmp/job
	echo "figure ${label:-}to host $to: $(cat /tmp/asked), pause of $(job 'Total downtime') ms," \
		"$(job 'Memory processed') MiB in $(job 'Time elapsed') ms"
}

# job FIELD: of the migration that libvirt tells of in /tmp/job.
job() {
	awk -F': +' -v f="$1" '$1 == f { print int($2) }' /tmp/job
}

# there_and_back OPTION...: both ways.
there_and_back() {
	migrate 2 "$@"
	is_at 2
	migrate 1 "$@"
	is_at 1
}

# begin: a migration to the second host that takes its time, until it is half-way.
begin() {
	virsh migrate --live --persistent --undefinesource --bandwidth 1 "$g" "$there_uri" >/tmp/migration 2>&1 &
	migration=$!
	within 60 sh -c "virsh domjobinfo $g | grep -E '^Memory processed: +[0-9.]+ MiB'"
}

# A disk that both hosts have open, by NFS.
item_shared() {
	DISK=$shared CACHE=none guest
	in_guest "$g" 'head -c 8388608 /dev/urandom | tee /x | dd of=/dev/vda bs=64k conv=fsync; md5sum </x >/xsum'
	there_and_back
	in_guest "$g" 'echo 3 >/proc/sys/vm/drop_caches; head -c 8388608 /dev/vda | md5sum | cmp - /xsum && echo same' |
		grep -qx same
	in_guest "$g" 'head -c 4194304 /dev/urandom | dd of=/dev/vda bs=64k conv=fsync'
	virsh destroy "$g"
	qemu-img check "$shared"
}

# The same on KVM, to compare with.
item_shared_on_kvm() {
	accelerator 1 kvm
	accelerator 2 kvm
	label='on KVM ' item_shared
}

# From one hypervisor to the other, and back.
item_hv_and_kvm() {
	accelerator 1 hv
	accelerator 2 kvm
	guest
	label='from hv to KVM and back ' there_and_back
	virsh destroy "$g"
	accelerator 2 hv
}

# A disk of its own: it is copied.
item_copied_storage() {
	there "qemu-img create -q -f qcow2 $images/$g.qcow2 64M"
	DISK=$images/$g.qcow2 guest
	in_guest "$g" 'head -c 8388608 /dev/urandom | tee /x | dd of=/dev/vda bs=64k conv=fsync; md5sum </x >/xsum'
	migrate 2 --copy-storage-all
	is_at 2
	in_guest "$g" 'echo 3 >/proc/sys/vm/drop_caches; head -c 8388608 /dev/vda | md5sum | cmp - /xsum && echo same' |
		grep -qx same
	virsh -c "$there_uri" destroy "$g"
	there "qemu-img check $images/$g.qcow2"
}

# The guest runs on the target before its memory is there.
item_postcopy() {
	guest
	migrate 2 --postcopy --postcopy-after-precopy --bandwidth 8 --postcopy-bandwidth 8
	[ "$(job 'Postcopy requests')" -gt 0 ]
	echo "figure $(job 'Postcopy requests') pages were asked for by the guest"
	is_at 2
}

item_compressed() {
	guest
	there_and_back --compressed --comp-methods xbzrle
}

item_multifd() {
	guest
	there_and_back --parallel --parallel-connections 2
}

item_cancelled() {
	guest
	begin
	virsh domjobabort "$g"
	not wait "$migration"
	is_at 1
	# And again, to the end.
	migrate 2
	is_at 2
}

# The target's QEMU dies half-way: the guest is where it was.
item_target_killed() {
	guest
	begin
	there "kill -KILL \$(cat /run/libvirt/qemu/$g.pid)"
	not wait "$migration"
	is_at 1
	migrate 2
	is_at 2
}

if [ "$device" = second ]; then
	second
	exit
fi
(run_items "$@")
rc=$?
there 'touch /tmp/finished'
exit "$rc"
