# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The SVM host: QEMU with an emulated AMD processor. Part of lab, whose variables it uses.
# shellcheck disable=SC2034,SC2154

machine_mem=2048
machine_ports=virtio

machine_artefacts() {
	qemu=$(artefact qemu "$(hash_of "$h"/qemu/*.patch /etc/os-release \
		-- "$(recipe build_qemu program_libraries bootstrap debian_source apply_patches \
			private_apt apt_lines)")" build_qemu)
}

# port_fifo NAME: a port hv.NAME of the emulated host, for the caller to read from $run/NAME.out.
port_fifo() {
	mkfifo "$run/$1.in" "$run/$1.out"
	machine+=(-chardev "pipe,id=$1,path=$run/$1" -device "virtserialport,chardev=$1,name=hv.$1")
}

# link_card PATH END: a network card whose cable ends in the other run's.
link_card() {
	local path other=$((3 - $2))
	path=$(realpath -m "$1")
	rm -f "$path.$2"
	machine+=(-netdev "dgram,id=link,local.type=unix,local.path=$path.$2,remote.type=unix,remote.path=$path.$other")
	machine+=(-device "virtio-net-pci,netdev=link,romfile=,mac=52:54:00:00:0f:0$2")
}

# Set machine to the command that runs the emulated host.
machine_command() {
	local disk nested n=0
	# A machine with more to do than processors may not run the emulator while the kernel tests its timer.
	cmdline+=' no_timer_check'
	machine=("$qemu/bin/qemu-system-x86_64" -nodefaults -no-user-config -display none -no-reboot
		-smp "$cpus" -m "$mem" -cpu max)
	# What ended it, should it end without a word.
	machine+=(-d "cpu_reset,trace:qemu_system_shutdown_request" -D "$run/machine.log")
	# Its firmware is the emulated host's QEMU's.
	machine+=(-L "$hosttree/root/usr/share/qemu" -L "$hosttree/root/usr/share/seabios")
	# KVM only where it can give the lab's host SVM; anything else is left alone.
	nested=$(cat /sys/module/kvm_amd/parameters/nested 2>/dev/null || true)
	if [ -n "$deterministic" ]; then
		machine+=(-accel "tcg,thread=single" -icount "shift=0,sleep=off" -seed 1
			-rtc "base=2025-01-01,clock=vm")
		cmdline+=' mitigations=off nokaslr norandmaps'
	elif grep -qw svm /proc/cpuinfo && [[ $nested =~ ^[1Y]$ ]] && [ -w /dev/kvm ]; then
		machine+=(-accel kvm)
	else
		machine+=(-accel "tcg,thread=multi")
	fi
	machine+=(-M q35 -kernel "$kdir/vmlinuz" -initrd "$kdir/initramfs.cpio")
	machine+=(-append "$cmdline${append:+ $append}")
	machine+=(-chardev "file,id=klog,path=$klog" -serial chardev:klog)
	for disk in "$hostdisk/disk.ext4" "$kdisk/disk.ext4" "$run/payload.tar"; do
		n=$((n + 1))
		machine+=(-drive "file=$disk,format=raw,if=none,id=disk$n,readonly=on,cache=unsafe")
		machine+=(-device "virtio-blk-pci,drive=disk$n")
	done
	[ -z "$link" ] || link_card "${link%,?}" "${link##*,}"
	machine+=(-device virtio-serial-pci -chardev "file,id=status,path=$run/status")
	machine+=(-device "virtserialport,chardev=status,name=hv.status")
	if [ "$mode" = shell ]; then
		machine+=(-chardev "stdio,id=con,mux=on,signal=off" -device "virtconsole,chardev=con")
	else
		# Not QEMU's own stdio: with nothing on its input it counts as disconnected.
		port_fifo out
		[ "$merge" = 1 ] || port_fifo err
	fi
}

# Why QEMU ended, in words; status 0 says little, as a host that resets ends it like one that switches itself off.
machine_ended() {
	if [ "$rc" != 0 ]; then
		echo "the emulator failed with status $rc"
	elif grep -q '^Triple fault' "$run/machine.log"; then
		echo "a processor had a triple fault"
	elif grep -q '^qemu_system_shutdown_request ' "$run/machine.log"; then
		echo "it switched itself off"
	else
		echo "it reset itself"
	fi
}
