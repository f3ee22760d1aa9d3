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

# With on-error=stop the guest waits instead, and writes all when there is room and it is resumed.
rm "$work/small/full.qcow2"
mount -o remount,size=24m "$work/small"
qemu-img create -q -f qcow2 -b "$work/base.qcow2" -F qcow2 "$work/small/full.qcow2"
timeout -k 5 $((200 * slow)) hvm run --accel "$device" --kernel /guest/vmlinuz --initrd /guest/initrd.img \
	--append "$(guest_cmdline 'dd if=/dev/urandom of=/root/big bs=1M count=40 conv=fsync && echo WROTE-ALL
		dmesg | grep -ciE "I/O error"')" \
	--disk "$work/full.qcow2,on-error=stop" --name waits >"$work/console" 2>&1 </dev/null &
job=$!
# shellcheck disable=SC2317 # called by check
waits() {
	for _ in $(seq 300); do
		hvm ps --json | grep -q '"io-error"' && return
		sleep 0.3
	done
	return 1
}
check guest_waits waits
check guest_waits_said console_has 'waits: blk0: No space left on device'
mount -o remount,size=200m "$work/small"
check resume hvm resume waits
wait $job
check resumed_status test $? = 0
check resumed_wrote console_has '^WROTE-ALL' '^0' 'HV-GUEST-EXIT'
check image_clean_after_wait image_clean full
check base_untouched base_untouched
umount "$work/small"
unload_device
finish
