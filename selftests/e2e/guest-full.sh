#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A full file system under the overlay: the guest sees an error, the image stays consistent, and the
# guest works again once there is room.
# shellcheck source=selftests/e2e/lib.sh
. /with/lib.sh

load_device "" || not_ok load
new_overlay full
mkdir -p "$work/small"
mount -t tmpfs -o size=24m tmpfs "$work/small"
qemu-img create -q -f qcow2 -b "$work/base.qcow2" -F qcow2 "$work/small/full.qcow2"
ln -sf "$work/small/full.qcow2" "$work/full.qcow2"
hvm_boot full 1 'dd if=/dev/urandom of=/root/big bs=1M count=64 conv=fsync && echo WROTE-ALL
dmesg | grep -iE "I/O error|critical space" | head -n 3'
check hvm_survived test $? = 0
check guest_saw_error console_has 'I/O error|Input/output error|No space left' 'HV-GUEST-EXIT'
check guest_could_not_write bash -c "! grep -qa WROTE-ALL $work/console"
check disk_was_full bash -c "[ \$(df -k --output=avail $work/small | tail -n 1) -lt 1024 ]"
check image_clean image_clean full
mount -o remount,size=200m "$work/small"
hvm_boot full 1 'rm -f /root/big; dd if=/dev/urandom of=/root/more bs=1M count=16 conv=fsync && echo WROTE'
check works_with_room console_has '^WROTE' 'HV-GUEST-EXIT 0'
check image_clean_again image_clean full
check base_untouched base_untouched
umount "$work/small"
unload_device
finish
