#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Devices and firmware that libvirt gives to guests: devices.sh DEVICE [ITEM...].
# shellcheck disable=SC2317 # items are called by name
# shellcheck source=selftests/ecosystem/lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"

device=${1:-/dev/hv}
shift || true

# guest [SED-SCRIPT]: d1, its XML changed by that.
guest() {
	gone d1
	DISK=none CPUS=1 MEM=${MEM:-128} domain d1 | sed "${1:-}" >/tmp/d1.xml
	virsh define --validate /tmp/d1.xml
	virsh start d1
}

# A directory of the host's, by virtiofsd and memory that the two share.
item_virtiofs() {
	mkdir -p /srv/share
	echo from-the-host >/srv/share/a
	EXTRA="<filesystem type='mount' accessmode='passthrough'><driver type='virtiofs'/>
		<source dir='/srv/share'/><target dir='share'/></filesystem>" \
		guest "s,<os>,<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>&,"
	within 120 answers d1
	in_guest d1 'mkdir -p /mnt && mount -t virtiofs share /mnt && cat /mnt/a && head -c 4194304 /dev/urandom >/mnt/b && sync
		md5sum /mnt/b' >/tmp/d1.out
	grep -qx from-the-host /tmp/d1.out
	[ "$(md5sum </srv/share/b | cut -c1-32)" = "$(grep -oE '^[0-9a-f]{32}' /tmp/d1.out)" ]
	gone d1
}

item_vsock() {
	EXTRA="<vsock model='virtio'><cid auto='yes'/></vsock>" guest
	within 120 answers d1
	[ "$(in_guest d1 '[ -e /dev/vsock ] && echo there')" = there ]
	# The guest's kernel refuses what nobody there listens to: the way there and back works.
	python3 - "$(virsh dumpxml d1 | sed -nE "s/.*<cid auto='yes' address='([0-9]+)'.*/\1/p")" <<-'PYTHON'
		import errno, socket, sys
		s = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
		s.settimeout(20)
		rc = s.connect_ex((int(sys.argv[1]), 4000))
		print(rc, errno.errorcode.get(rc))
		sys.exit(rc != errno.ECONNRESET)
	PYTHON
	gone d1
}

# A TPM 2.0 by swtpm, which keeps its state.
item_tpm() {
	EXTRA="<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>" guest
	within 120 answers d1
	[ "$(in_guest d1 'cat /sys/class/tpm/tpm0/tpm_version_major')" = 2 ]
	[ "$(in_guest d1 'cat /sys/class/tpm/tpm0/pcr-sha256/0' | tr -d '\n' | wc -c)" = 64 ]
	gone d1
}

item_uefi() {
	MEM=256 guest "s,<os>,<os firmware='efi'>,"
	within 300 answers d1
	[ "$(in_guest d1 '[ -d /sys/firmware/efi ] && echo uefi')" = uefi ]
	virsh dumpxml d1 | grep -q '<nvram'
	gone d1
}

# Firmware that keeps its variables from the guest by SMM: it, with the keys that come with it, refuses a kernel
# that those do not know.
item_uefi_secure() {
	MEM=256 guest "s,<os>,<os firmware='efi'><firmware><feature enabled='yes' name='secure-boot'/>\
<feature enabled='yes' name='enrolled-keys'/></firmware>,
		s,<features>,&<smm state='on'/>,"
	within 300 grep -qaE 'Access Denied|Security Violation|Boot Failed|BdsDxe: failed' \
		/var/log/libvirt/qemu/d1-console.log
	not grep -q HV-GUEST-READY /var/log/libvirt/qemu/d1-console.log
	gone d1
}

# From a disk, as BIOS and GRUB do it.
item_grub() {
	local stage=/tmp/grub
	mkdir -p "$stage/boot/grub"
	cp /guest/vmlinuz "$images/guest.img" "$stage/boot/"
	cat >"$stage"/boot/grub/grub.cfg <<-'CFG'
		set timeout=0
		menuentry guest {
			linux /boot/vmlinuz console=ttyS0 quiet cryptomgr.notests hv.grub
			initrd /boot/guest.img
		}
	CFG
	grub-mkrescue -o "$images/grub.raw" "$stage"
	EXTRA="<disk type='file' device='disk'><driver name='qemu' type='raw'/>
		<source file='$images/grub.raw'/><target dev='vda' bus='virtio'/><boot order='1'/></disk>" \
		guest '/<kernel>/d; s,<cmdline>.*</os>,</os>,'
	within 180 answers d1
	in_guest d1 'cat /proc/cmdline' | grep -q hv.grub
	gone d1
}

run_items "$@"
