#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# hvm starts a guest as a PC does: SeaBIOS and OVMF find GRUB on a disk, GRUB a kernel, and the kernel the disk
# that cloud-init looks for. UEFI variables outlive the guest, and are the store's alone.
# shellcheck source=selftests/e2e/lib.sh
. /with/lib.sh

load_device "" || not_ok load

# Not on the emulated host itself, but beside the boot disk.
mkdir -p "$work/bin"
printf '#!/bin/sh\nLD_LIBRARY_PATH=/with/boot exec /with/boot/genisoimage "$@"\n' >"$work/bin/genisoimage"
chmod 755 "$work/bin/genisoimage"

# pc_boot DISK ARGUMENT...: from the overlay DISK of the boot disk; its console: $work/console.
pc_boot() {
	local disk=$1
	shift
	[ -e "$work/$disk.qcow2" ] ||
		qemu-img create -q -f qcow2 -b /with/boot/disk.img -F raw "$work/$disk.qcow2"
	timeout -k 5 $((300 * slow)) hvm run --accel "$device" --disk "$work/$disk.qcow2" --mem 256M "$@" \
		>"$work/console" 2>&1 </dev/null
}

printf '#cloud-config\nboots: 1\n' >"$work/user"
PATH=$work/bin:$PATH pc_boot one --firmware bios --name seed --cpus 2 --cloud-init "$work/user"
check bios_status test $? = 0
check bios_serial console_has 'SeaBIOS'
check bios_kernel console_has 'HV-BOOT firmware=bios boots=1 cpus=2 disks=vda vdb'
check bios_cidata console_has 'HV-BOOT cidata=/dev/vdb ro=1 files=meta-data user-data' \
	'HV-BOOT user-data: #cloud-config' 'HV-BOOT meta-data: instance-id: seed'
# shellcheck disable=SC2144 # one pattern, nothing may match it
check no_image_left test ! -e "$(echo /tmp/hvm-cidata-*)"
check bios_disk_clean image_clean one

pc_boot two --firmware "uefi,vars=$work/vars" --name uefi
check uefi_status test $? = 0
check uefi_serial console_has 'BdsDxe: starting Boot'
check uefi_kernel console_has 'HV-BOOT firmware=uefi boots=1 cpus=1 disks=vda' 'HV-BOOT variable=1'
pc_boot two --firmware "uefi,vars=$work/vars" --name uefi
check uefi_again console_has 'HV-BOOT firmware=uefi boots=2 '
check uefi_kept console_has 'HV-BOOT variable=1' 'HV-BOOT variable=2'
check template_untouched test "$(stat -c %s "$work/vars")" = "$(stat -c %s /usr/share/OVMF/OVMF_VARS_4M.fd)"

unload_device
finish
