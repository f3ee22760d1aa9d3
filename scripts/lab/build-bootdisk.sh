# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A disk that BIOS and UEFI firmware boot through GRUB, and the program that makes images for cloud-init; see
# build.sh. Made of files alone: neither root nor a loop device is needed.

bootdisk_mib=24

# build_bootdisk DIR KERNEL: DIR/disk.img with the kernel of the artefact KERNEL, DIR/genisoimage.
build_bootdisk() {
	local dir=$1 kernel=$2 grub lib kver libmagic=libmagic1
	kver=$(cat "$kernel/kver")
	# Debian 13 renamed it.
	[ "$(codename)" = bookworm ] || libmagic=libmagic1t64
	unpack_packages "$dir" grub-common grub-pc-bin grub-efi-amd64-bin mtools dosfstools libdevmapper1.02.1 \
		genisoimage "$libmagic"
	grub=$dir/root/usr/lib/grub
	lib=$dir/root/lib/x86_64-linux-gnu:$dir/root/usr/lib/x86_64-linux-gnu
	boot_initramfs "$dir" "$kernel/root" "$kver"

	# The BIOS starts the first sector, which starts what is behind it, which reads the partition.
	LD_LIBRARY_PATH=$lib "$dir/root/usr/bin/grub-mkimage" -O i386-pc -d "$grub/i386-pc" \
		-p '(hd0,msdos1)/grub' -o "$dir/core.img" biosdisk part_msdos fat normal linux echo boot
	LD_LIBRARY_PATH=$lib "$dir/root/usr/bin/grub-mkimage" -O x86_64-efi -d "$grub/x86_64-efi" \
		-p /grub -o "$dir/bootx64.efi" part_msdos fat normal linux echo boot
	[ "$(stat -c %s "$dir/core.img")" -lt $((2046 * 512)) ]
	cat >"$dir/grub.cfg" <<-'CONFIG'
		echo "HV-GRUB $grub_platform"
		linux /vmlinuz console=ttyS0 quiet cryptomgr.notests
		initrd /initrd.img
		boot
	CONFIG

	truncate -s "$bootdisk_mib"M "$dir/disk.img"
	printf 'label: dos\nstart=2048, type=ef, bootable\n' | sfdisk -q "$dir/disk.img"
	bootdisk_filesystem "$dir" "$kernel/vmlinuz"
	# Only the code of the first sector: the partition table is in the same one.
	dd if="$grub/i386-pc/boot.img" of="$dir/disk.img" bs=440 count=1 conv=notrunc status=none
	dd if="$dir/core.img" of="$dir/disk.img" bs=512 seek=1 conv=notrunc status=none
	cp "$dir/root/usr/bin/genisoimage" "$dir/"
	cp -L "$dir/root/usr/lib/x86_64-linux-gnu/libmagic.so.1" "$dir/"
	rm -rf "$dir"/{root,core.img,bootx64.efi,grub.cfg,initrd.img}
}

# bootdisk_filesystem DIR VMLINUZ: the partition, whose file system both GRUBs and UEFI read.
bootdisk_filesystem() {
	local dir=$1 vmlinuz=$2
	local -x MTOOLS_SKIP_CHECK=1
	local fat="$dir/disk.img@@1M"
	# Debian 12 has it below /sbin, 13 below /usr/sbin.
	"$(find "$dir/root" -name mkfs.fat -type f)" -F 16 -n HVBOOT --offset 2048 "$dir/disk.img" \
		$((bootdisk_mib * 1024 - 1024))
	"$dir/root/usr/bin/mmd" -i "$fat" ::/EFI ::/EFI/BOOT ::/grub
	"$dir/root/usr/bin/mcopy" -i "$fat" "$vmlinuz" ::/vmlinuz
	"$dir/root/usr/bin/mcopy" -i "$fat" "$dir/initrd.img" ::/initrd.img
	"$dir/root/usr/bin/mcopy" -i "$fat" "$dir/grub.cfg" ::/grub/grub.cfg
	"$dir/root/usr/bin/mcopy" -i "$fat" "$dir/bootx64.efi" ::/EFI/BOOT/BOOTX64.EFI
}

boot_initramfs() {
	local dir=$1 root=$2 kver=$3 stage=$1/ramfs
	mkdir "$stage"
	ramfs_modules "$root" "$kver" "$stage" virtio_pci virtio_blk isofs efivarfs
	# shellcheck disable=SC2154 # lab_dir is lib.sh's
	install -m 755 "$lab_dir/boot-initramfs-init" "$stage/init"
	pack_ramfs "$stage" "$dir/initrd.cpio"
	gzip -9n <"$dir/initrd.cpio" >"$dir/initrd.img"
	rm -rf "$stage" "$dir/initrd.cpio"
}
