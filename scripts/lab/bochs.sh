# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The VMX host: Bochs with an emulated Intel processor. Part of lab, whose variables it uses.
# shellcheck disable=SC2034,SC2154

machine_mem=1024
machine_ports=serial
# Instructions per second of the emulated clocks: about what Bochs executes in a second, so that
# waiting in the emulated host takes about as long as the command's author thought.
machine_ips=100000000

machine_artefacts() {
	bochs=$(artefact bochs "$(hash_of "$h"/bochs/*.patch /etc/os-release \
		-- "$(recipe build_bochs debian_source apply_patches private_apt apt_lines)")" build_bochs)
	ramfs=$(artefact "bochsramfs-$kernel" "$(hash_of "$h/initramfs-init" \
		-- "$(recipe build_bochsramfs ramfs_modules pack_ramfs)" "$kdir")" build_bochsramfs "$kdir")
	grep -qxF -- "$model" "$bochs/models" ||
		die "--cpu-model $model: Bochs has $(tr '\n' ' ' <"$bochs/models")"
}

# boot_medium: a CD with the kernel and its command line, as Bochs cannot start one by itself.
boot_medium() {
	mkdir -p "$run/iso/isolinux"
	cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$run/iso/isolinux/"
	cp "$kdir/vmlinuz" "$run/iso/linux"
	cp "$ramfs/initramfs.cpio" "$run/iso/initrd"
	printf 'default lab\nlabel lab\nlinux /linux\ninitrd /initrd\nappend %s\n' \
		"$cmdline" >"$run/iso/isolinux/isolinux.cfg"
	xorriso -as mkisofs -quiet -o "$run/boot.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat \
		-no-emul-boot -boot-load-size 4 -boot-info-table "$run/iso" >"$run/xorriso.log" 2>&1 || {
		cat "$run/xorriso.log" >&2
		die "making the boot medium failed"
	}
	rm -rf "$run/iso"
}

# serial N FILE: the N-th serial port of the emulated host writes FILE.
serial() {
	printf 'com%s: enabled=1, mode=file, dev=%s\n' "$1" "$2"
}

# Set machine to the command that runs the emulated host. Bochs runs in $run and its configuration
# names only files there: it has no way to quote a name.
machine_command() {
	local time0=utc
	if [ "$mode" = shell ] && [ ! -t 0 ]; then
		die "a shell on an Intel host needs a terminal as its standard input; give a command instead"
	fi
	# Time follows instructions: the processor's own idea of its frequency is wrong here.
	cmdline+=" lab.disks=sr1,sr2,sr3 tsc_early_khz=$((machine_ips / 1000))"
	cmdline+=' i8042.noaux i8042.nokbd mitigations=off'
	# A self-test of the entropy source that takes half a second; RDRAND is trusted instead.
	cmdline+=' initcall_blacklist=jent_mod_init'
	# The newest models have 5-level paging, with which Bochs does not come back from SMM.
	cmdline+=' no5lvl'
	if [ -n "$deterministic" ]; then
		time0=$(date -ud 2025-01-01 +%s)
		cmdline+=' nokaslr norandmaps'
	fi
	cmdline+=${append:+ $append}
	boot_medium
	ln -s "$hostdisk/disk.ext4" "$run/host.disk"
	ln -s "$kdisk/disk.ext4" "$run/kernel.disk"
	ln -s "$(realpath "$klog")" "$run/klog"
	{
		cat <<-TEXT
			config_interface: textconfig
			display_library: nogui
			memory: guest=$mem, host=$((mem > 2048 ? 2048 : mem))
			romimage: file=/usr/share/bochs/BIOS-bochs-latest, options=fastboot
			vgaromimage: file=/usr/share/vgabios/vgabios.bin
			cpu: model=$model, count=$cpus, ips=$machine_ips, reset_on_triple_fault=0, ignore_bad_msrs=1
			clock: sync=none, time0=$time0
			pci: enabled=1, chipset=i440fx
			boot: cdrom
			log: bochs.log
			panic: action=fatal
			error: action=report
			info: action=ignore
			debug: action=ignore
			ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
			ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15
			ata0-master: type=cdrom, path=boot.iso, status=inserted
			ata0-slave: type=cdrom, path=host.disk, status=inserted
			ata1-master: type=cdrom, path=kernel.disk, status=inserted
			ata1-slave: type=cdrom, path=payload.tar, status=inserted
		TEXT
		serial 1 klog
		if [ "$mode" = shell ]; then
			printf 'com2: enabled=1, mode=term, dev=/dev/tty\n'
		else
			mkfifo "$run/out.out"
			serial 2 out.out
			[ "$merge" = 1 ] || mkfifo "$run/err.out"
			serial 3 err.out
		fi
		serial 4 status
	} >"$run/bochsrc"
	# Its standard output is no part of the emulated host's.
	# shellcheck disable=SC2016
	machine=(env -C "$run" ${deterministic:+BOCHS_SEED=1} sh -c 'exec "$0" "$@" >>emulator.log 2>&1'
		"$bochs/bochs" -q -f bochsrc)
}

# Why Bochs ended, in words: it panics when the host resets itself or a processor has a triple fault.
machine_ended() {
	local panic
	panic=$(sed -n 's/.*>>PANIC<< //p' "$run/bochs.log" 2>/dev/null | tail -n 1)
	if [ -n "$panic" ]; then
		echo "the emulator stopped: $panic"
	else
		echo "it switched itself off, or the emulator failed (status $rc)"
	fi
}
