# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# For the ecosystem's tests, on an emulated host with a whole Debian: guests made and managed by libvirt.

images=/var/lib/libvirt/images
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
failures=0
export LIBVIRT_DEFAULT_URI=${LIBVIRT_DEFAULT_URI:-qemu:///system}

ok() {
	echo "ok $1"
}

not_ok() {
	echo "not ok $1"
	failures=$((failures + 1))
}

# within SECONDS COMMAND...: until COMMAND succeeds.
within() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ $SECONDS -ge $end ]; then
			echo "not within the time: $*"
			return 1
		fi
		sleep 0.5
	done
}

# not COMMAND...: it fails. ("!" would not end a test.)
not() {
	if "$@"; then
		echo "did not fail: $*"
		return 1
	fi
}

# item NAME COMMAND...: a test; its output is shown when it fails. It stops at the first command that fails.
item() {
	local name=$1 t0=$SECONDS rc
	shift
	# Not as a condition, in which bash goes on after a failed command.
	(set -e; "$@") >/tmp/item.log 2>&1
	rc=$?
	if [ $rc = 0 ]; then
		ok "$name"
		grep '^figure ' /tmp/item.log | sed "s/^/# $name: /"
	else
		not_ok "$name"
		tail -n 25 /tmp/item.log | sed 's/^/    /'
	fi
	echo "# $name: $((SECONDS - t0)) s"
}

libvirt_major() {
	virsh --version | cut -d. -f1
}

state() {
	virsh domstate "$1" | head -n 1
}

state_is() {
	[ "$(state "$1")" = "$2" ]
}

# address NAME: of the guest, as libvirt's DHCP server gave it.
address() {
	virsh -q domifaddr "$1" | awk '{ sub("/.*", "", $4); print $4; exit }'
}

# ask ADDRESS COMMAND: its output. A web server there runs it; PATIENCE: seconds, if it takes longer.
ask() {
	python3 - "$1" "$2" "${PATIENCE:-20}" <<-'PYTHON'
		import sys, urllib.parse, urllib.request
		address, command, patience = sys.argv[1:]
		url = f"http://{address}/cgi-bin/run?" + urllib.parse.quote(command, safe="")
		sys.stdout.write(urllib.request.urlopen(url, timeout=int(patience)).read().decode())
	PYTHON
}

in_guest() {
	ask "$(address "$1")" "$2"
}

# guest_says NAME TEXT COMMAND: that is what it prints.
guest_says() {
	[ "$(in_guest "$1" "$3")" = "$2" ]
}

answers() {
	guest_says "$1" alive 'echo alive'
}

# fill NAME MIB: that much of the guest's memory is in use, and its sum known.
fill() {
	PATIENCE=120 in_guest "$1" "rm -f /tmp/fill; head -c $(($2 * 1048576)) /dev/urandom >/tmp/fill && md5sum /tmp/fill" |
		tee "/tmp/$1.sum"
	grep -qE '^[0-9a-f]{32} ' "/tmp/$1.sum"
}

intact() {
	PATIENCE=120 in_guest "$1" 'md5sum /tmp/fill' | tee "/tmp/$1.sum.now"
	cmp "/tmp/$1.sum.now" "/tmp/$1.sum"
}

# overlay NAME: a qcow2 overlay of the lab's base image, for a guest's disk.
overlay() {
	[ -e $images/base.qcow2 ] || cp /guest/base.qcow2 $images/base.qcow2
	rm -f "$images/$1.qcow2"
	qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 "$images/$1.qcow2"
}

# domain NAME [KERNEL-ARGUMENT]: the XML of a guest. MACHINE, CPUS, CPU (its mode), MEM (MiB), DISK (none, or a
# qcow2 file), CACHE (of the disk) and NETWORK change it; EXTRA is put among the devices.
domain() {
	local name=$1 disk=''
	[ "${DISK:-}" = none ] || disk="<disk type='file' device='disk'>
		<driver name='qemu' type='qcow2' cache='${CACHE:-default}'/>
		<source file='${DISK:-$images/$name.qcow2}'/><target dev='vda' bus='virtio'/></disk>"
	cat <<-XML
		<domain type='kvm'>
		<name>$name</name><memory unit='MiB'>${MEM:-256}</memory>
		<vcpu current='1'>${CPUS:-2}</vcpu>
		<os><type arch='x86_64' machine='${MACHINE:-q35}'>hvm</type>
		<kernel>/guest/vmlinuz</kernel><initrd>$images/guest.img</initrd>
		<cmdline>console=ttyS0 quiet cryptomgr.notests ${2:-}</cmdline></os>
		<features><acpi/><pae/></features><cpu mode='${CPU:-host-passthrough}'/>
		<on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>preserve</on_crash>
		<devices>$disk
		<controller type='usb' model='none'/>
		<interface type='network'><source network='${NETWORK:-default}'/><model type='virtio'/></interface>
		<serial type='pty'><log file='/var/log/libvirt/qemu/$name-console.log' append='on'/></serial>
		<memballoon model='virtio'><stats period='1'/></memballoon>
		<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
		${EXTRA:-}
		</devices></domain>
	XML
}

# define NAME [KERNEL-ARGUMENT]: the guest of domain(), with its disk unless that is given, not started.
define() {
	[ -n "${DISK:-}" ] || overlay "$1"
	domain "$@" >"/tmp/$1.xml"
	virsh define --validate "/tmp/$1.xml"
}

started() {
	virsh start "$1"
	within 120 answers "$1"
}

# gone NAME: stopped and undefined, with all that belongs to it.
gone() {
	virsh destroy "$1" 2>/dev/null || true
	virsh undefine "$1" --managed-save --snapshots-metadata --nvram --remove-all-storage 2>/dev/null ||
		virsh undefine "$1" --managed-save --snapshots-metadata 2>/dev/null || true
}

# The images and the network that the tests use; the device they shall use.
prepare() {
	"$here/make-guest" $images/guest.img
	virsh net-start default >/dev/null
	virsh pool-create-as default dir --target $images >/dev/null
	case ${device:-/dev/hv} in
	/dev/hv) [ -d /sys/module/hv ] && [ -c /dev/kvm ] && [ ! -d /sys/module/kvm ] ;;
	/dev/kvm) [ -d /sys/module/kvm_amd ] ;;
	esac
}

# After each item: a script may say what it needs then.
after_item() {
	:
}

# run_items [ITEM...]: these, or all functions item_ITEM of the script in their order; then exit.
run_items() {
	local i
	if [ -z "${prepared:-}" ] && ! prepare; then
		not_ok prepare
		exit 1
	fi
	if [ $# = 0 ]; then
		# shellcheck disable=SC2046 # names
		set -- $(sed -nE 's/^item_([a-z_0-9]+)\(\) \{$/\1/p' "$0")
	fi
	for i in "$@"; do
		if ! declare -F "item_$i" >/dev/null; then
			echo "no item $i in $(basename "$0")"
			not_ok "$i"
			continue
		fi
		item "$i" "item_$i"
		after_item "$i"
	done
	exit $((failures != 0))
}
