# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Whole Debian releases as emulated hosts, with libvirt as a user installs it. Part of build.sh.

# build_debian DIR RELEASE: DIR/disk.ext4 has Debian 12 or 13.
build_debian() {
	local dir=$1 release=$2 suite packages
	local -a lines
	# What a user would install to run guests, and what its tests need.
	packages=systemd-sysv,udev,dbus,polkitd,apparmor,libvirt-daemon-system,libvirt-clients,virtinst
	packages+=,qemu-system-x86,qemu-utils,ovmf,swtpm,swtpm-tools,dnsmasq-base,passt,iptables,nftables,iproute2
	packages+=,kmod,procps,busybox,e2fsprogs,util-linux,strace,python3,netcat-openbsd,nfs-kernel-server,nfs-common
	packages+=,open-iscsi,tgt,lvm2,grub-pc-bin,xorriso,mtools,xxd,gdb-minimal,liburing2,zlib1g,libzstd1,libjansson4
	case $release in
	12) suite=bookworm ;;
	13)
		suite=trixie
		packages+=,virtiofsd,libvirt-daemon-driver-storage-logical,libvirt-daemon-driver-storage-iscsi
		;;
	esac
	mapfile -t lines < <(apt_lines $suite $suite-updates $suite-security)
	bootstrap "$dir/root" $suite "$packages" "${lines[@]}"
	rm -rf "$dir"/root/var/lib/apt/lists/* "$dir"/root/var/cache/apt/* "$dir"/root/boot/* \
		"$dir"/root/usr/lib/modules
	mkdir -p "$dir"/root/{lab,with,guest,usr/lib/modules}
	# Nothing starts of its own accord in the background, and the console has the kernel's log alone.
	rm -f "$dir"/root/etc/systemd/system/timers.target.wants/*
	ln -sf /dev/null "$dir/root/etc/systemd/system/serial-getty@ttyS0.service"
	ln -sf /dev/null "$dir/root/etc/systemd/system/getty@tty1.service"
	printf 'hv-lab\n' >"$dir/root/etc/hostname"
	printf '127.0.0.1 localhost hv-lab\n' >"$dir/root/etc/hosts"
	printf '%032x\n' 12 >"$dir/root/etc/machine-id"
	chroot "$dir/root" useradd -m -s /bin/bash tester
	mkfs_tree "$dir/disk.ext4" "$dir/root"
	rm -rf "$dir/root"
}
