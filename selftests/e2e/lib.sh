# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# For tests that run inside the lab. The device under test is /dev/hv, or /dev/kvm (stock KVM, the
# oracle). Each test prints "ok NAME", "not ok NAME" or "skip NAME REASON"; the rest is for the log.

device=${1:-/dev/hv}
failures=0
work=/tmp/work
mkdir -p "$work"
# The debug kernel, and what its host does, is some times slower: time-outs are multiplied by this.
slow=1
kmemleak=/sys/kernel/debug/kmemleak
[ -e $kmemleak ] && slow=4

ok() {
	echo "ok $1"
}

not_ok() {
	echo "not ok $1"
	shift
	[ $# -eq 0 ] || echo "  $*"
	failures=$((failures + 1))
}

# check NAME COMMAND...: the test NAME passes if COMMAND does.
check() {
	local name=$1
	shift
	if "$@"; then ok "$name"; else not_ok "$name" "failed: $*"; fi
}

# finish: the exit status of a test script.
finish() {
	exit $((failures != 0))
}

# The module of the device under test: hv has both vendors inside, stock KVM a module for each.
device_module() {
	if [ "$device" != /dev/kvm ]; then
		echo hv
	elif grep -qw svm /proc/cpuinfo; then
		echo kvm_amd
	elif grep -qw vmx /proc/cpuinfo; then
		echo kvm_intel
	else
		echo "this processor has neither svm nor vmx" >&2
		return 1
	fi
}

# load_device [OPTION]: load the module of the device under test, with a fresh kernel log.
load_device() {
	local module
	module=$(device_module) || return
	dmesg -C
	modprobe "$module" ${1:+"$1"}
}

# What the kernel said since load_device that is not an information line of hv's own. Expected, and
# the kernel's: that an unsigned module from outside its tree was loaded, and that time passed in
# which the emulated processors did not run (another program on the machine had the real ones; when
# they measured their timers, a processor that comes back complains of these), and memory failures that
# a test injects.
kernel_complaints() {
	dmesg -x | grep -E '^kern ' |
		grep -vE '^kern +:info +: \[[ 0-9.]*\] hv: ' |
		grep -vE '\] hv: (loading out-of-tree module taints kernel|module verification failed)' |
		grep -vE '\] (hrtimer: interrupt took|Disabled fast string operations|workqueue: .* hogged CPU|clocksource: )' |
		grep -vE '\] (Clockevents: could not switch to one-shot mode|Could not switch to high resolution mode)' |
		grep -vE '\] (Injecting memory failure for|Memory failure: )' |
		grep -vE '^kern +:info +: \[[ 0-9.]*\] (loop[0-9]+|zram[0-9]*|EXT4-fs|tsc|tun|IPv6: ADDRCONF|Adding|smpboot|x86|kvm|kvm_amd|SVM)\b'
}

# What a kernel says that found a fault in itself. Where failures are injected or nonsense is asked for, it
# may complain of those, at length.
kernel_reports() {
	local faults='BUG|WARNING: |KASAN|UBSAN|INFO: |Oops|possible .*(deadlock|recursi)|ODEBUG|DEBUG_LOCKS'
	faults+='|sleeping function|[cC]orruption|refcount_t|general protection|unable to handle|blocked for|detected .*stall'
	dmesg -x | grep -E '^kern ' | grep -E "$faults"
}

# Unload it and see that nothing stayed behind. COMPLAINTS: kernel_reports where others are expected.
unload_device() {
	local left
	if [ "$device" = /dev/kvm ]; then
		modprobe -r "$(device_module)"
		return
	fi
	check unload modprobe -r hv
	left=$(grep -c '^hv_' /proc/slabinfo)
	check no_slab_left test "$left" = 0
	left=$(grep -c '\[hv\]' /proc/vmallocinfo)
	check no_vmalloc_left test "$left" = 0
	left=$("${COMPLAINTS:-kernel_complaints}")
	if [ -z "$left" ]; then ok kernel_log_clean; else not_ok kernel_log_clean "$left"; fi
	[ ! -e $kmemleak ] || check no_leak hv_leaks_nothing
}

# The debug kernel finds no memory that hv allocated and nothing refers to. What is scanned while it moves
# from one place to another looks lost once, not twice. The code is gone by now: its addresses have no name.
hv_leaks_nothing() {
	local leaks
	sleep 6	# younger memory is not reported
	echo scan >$kmemleak
	echo scan >$kmemleak
	leaks=$(awk '
		/^unreferenced object/ { if (hv) print text; text = ""; hv = 0 }
		{ text = text $0 "\n" }
		/\] 0xffffffff/ { hv = 1 }
		END { if (hv) print text }' $kmemleak)
	[ -z "$leaks" ] || printf '%s\n' "$leaks"
	[ -z "$leaks" ]
}

# new_overlay NAME: a qcow2 overlay $work/NAME.qcow2 on a base image of our own, that a faulty
# program could write to.
new_overlay() {
	if [ ! -e "$work/base.qcow2" ]; then
		cp /guest/base.qcow2 "$work/base.qcow2"
		chmod 644 "$work/base.qcow2"
	fi
	rm -f "$work/$1.qcow2"
	qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 "$work/$1.qcow2"
}

base_untouched() {
	cmp /guest/base.qcow2 "$work/base.qcow2"
}

image_clean() {
	qemu-img check "$work/$1.qcow2"
}

# The kernel command line that makes the guest run SCRIPT and switch itself off. GUEST_APPEND: more of it.
guest_cmdline() {
	printf 'console=ttyS0 quiet cryptomgr.notests %s hv.run=%s' "${GUEST_APPEND:-}" \
		"$(printf '%s\n' "$1" | base64 -w0)"
}

# hvm_boot OVERLAY CPUS SCRIPT [ARGUMENT...]: boot the guest with hvm; its console: $work/console, or
# BOOT_CONSOLE.
hvm_boot() {
	local overlay=$1 cpus=$2 script=$3
	shift 3
	timeout -k 5 $((${BOOT_TIMEOUT:-120} * slow)) hvm run --accel "$device" --kernel /guest/vmlinuz \
		--initrd /guest/initrd.img --append "$(guest_cmdline "$script")" \
		--disk "$work/$overlay.qcow2" --cpus "$cpus" --mem 512M "$@" \
		>"${BOOT_CONSOLE:-$work/console}" 2>&1 </dev/null
}

# qemu_boot PROGRAM OVERLAY MACHINE SCRIPT [ARGUMENT...]: boot it with QEMU; MACHINE: q35, microvm.
# CPU_MODEL: QEMU's -cpu, if not host.
qemu_boot() {
	local prog=$1 overlay=$2 machine=$3 script=$4 blk=virtio-blk-pci
	local accel=kvm
	shift 4
	[ "$machine" = microvm ] && blk=virtio-blk-device
	# QEMU 7.2 has no choice of device: kvm_device=1 gives it /dev/kvm.
	[ "$prog" = qemu-7.2 ] || accel=kvm,device=$device
	timeout -k 5 $((${BOOT_TIMEOUT:-120} * slow)) "$prog" -M "$machine" -accel "$accel" -cpu "${CPU_MODEL:-host}" -m 512 \
		-nodefaults -no-user-config -display none -serial stdio -no-reboot \
		-kernel /guest/vmlinuz -initrd /guest/initrd.img -append "$(guest_cmdline "$script")" \
		-drive "file=$work/$overlay.qcow2,id=d,if=none" -device "$blk,drive=d" "$@" \
		>"$work/console" 2>&1 </dev/null
}

# console_has PATTERN...: the guest's console matches each; else show it.
console_has() {
	local p
	for p in "$@"; do
		if ! grep -qaE -- "$p" "$work/console"; then
			echo "--- no \"$p\" on the console:"
			tail -n 40 "$work/console"
			echo "---"
			return 1
		fi
	done
}
