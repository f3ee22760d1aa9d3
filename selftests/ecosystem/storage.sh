#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# libvirt's storage pools: storage.sh DEVICE [ITEM...].
# shellcheck disable=SC2317 # items are called by name
# shellcheck source=selftests/ecosystem/lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"

device=${1:-/dev/hv}
shift || true

# disk_from POOL VOLUME FORMAT: a guest whose disk is that volume; what it writes is there after a reboot.
disk_from() {
	gone t1
	DISK=none CPUS=1 MEM=128 EXTRA="<disk type='volume' device='disk'><driver name='qemu' type='$3'/>
		<source pool='$1' volume='$2'/><target dev='vda' bus='virtio'/></disk>" define t1
	started t1
	in_guest t1 'head -c 4194304 /dev/urandom | tee /x | dd of=/dev/vda bs=64k conv=fsync; md5sum </x' >/tmp/written
	virsh reset t1
	within 120 answers t1
	in_guest t1 'head -c 4194304 /dev/vda | md5sum' >/tmp/read
	[ "$(grep -oE '^[0-9a-f]{32}' /tmp/written)" = "$(grep -oE '^[0-9a-f]{32}' /tmp/read)" ]
	gone t1
}

# pool_gone NAME
pool_gone() {
	virsh pool-destroy "$1" 2>/dev/null || true
	virsh pool-undefine "$1" 2>/dev/null || true
}

item_dir() {
	pool_gone dir
	virsh pool-define-as dir dir --target /srv/dir
	virsh pool-build dir
	virsh pool-start dir
	virsh vol-create-as dir disk.qcow2 64M --format qcow2
	disk_from dir disk.qcow2 qcow2
	virsh vol-clone disk.qcow2 copy.qcow2 --pool dir
	virsh vol-resize copy.qcow2 128M --pool dir
	virsh vol-info copy.qcow2 --pool dir | grep -qE '^Capacity: +128.00 MiB'
	qemu-img check /srv/dir/copy.qcow2
	virsh vol-delete copy.qcow2 --pool dir
	virsh vol-delete disk.qcow2 --pool dir
	pool_gone dir
}

item_logical() {
	pool_gone vg
	truncate -s 512M /srv/pv.img
	losetup /dev/loop6 /srv/pv.img
	virsh pool-define-as vg logical --source-dev /dev/loop6 --source-name vg --target /dev/vg
	virsh pool-build vg
	virsh pool-start vg
	virsh vol-create-as vg disk 64M
	lvs vg/disk
	disk_from vg disk raw
	virsh vol-delete disk --pool vg
	virsh pool-destroy vg
	virsh pool-delete vg
	pool_gone vg
	losetup -d /dev/loop6
}

item_nfs() {
	mkdir -p /export /srv/nfs
	mountpoint -q /export || mount -t tmpfs -o mode=777 tmpfs /export
	echo '/export *(rw,no_root_squash,insecure,fsid=0)' >/etc/exports
	printf '[nfsd]\ngrace-time=10\nlease-time=10\n' >/etc/nfs.conf
	systemctl start nfs-server
	pool_gone nfs
	virsh pool-define-as nfs netfs --source-host 127.0.0.1 --source-path / --source-format nfs --target /srv/nfs
	virsh pool-start nfs
	findmnt -t nfs4 /srv/nfs
	virsh vol-create-as nfs disk.qcow2 64M --format qcow2
	disk_from nfs disk.qcow2 qcow2
	virsh vol-delete disk.qcow2 --pool nfs
	pool_gone nfs
	not findmnt /srv/nfs
}

item_iscsi() {
	local iqn=iqn.2026-01.example.lab:disk
	truncate -s 64M /srv/lun.img
	pgrep -x tgtd || tgtd
	systemctl start iscsid
	within 30 tgtadm --lld iscsi --mode target --op show
	tgtadm --lld iscsi --mode target --op new --tid 1 --targetname "$iqn"
	tgtadm --lld iscsi --mode logicalunit --op new --tid 1 --lun 1 --backing-store /srv/lun.img
	tgtadm --lld iscsi --mode target --op bind --tid 1 --initiator-address ALL
	pool_gone san
	virsh pool-define-as san iscsi --source-host 127.0.0.1 --source-dev "$iqn" --target /dev/disk/by-path
	virsh pool-start san
	disk_from san "$(virsh -q vol-list san | awk '{ print $1; exit }')" raw
	pool_gone san
	tgtadm --lld iscsi --mode target --op delete --force --tid 1
}

run_items "$@"
