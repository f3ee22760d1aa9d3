#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Devices whose work other processes do: a disk's back end is killed under load and nothing is lost; stock QEMU
# uses ours; a directory of the host's is mounted in the guest.
# shellcheck source=selftests/e2e/lib.sh
. /with/lib.sh

load_device "" || not_ok load

# A back end in a process of its own, killed while the guest writes: it sees a pause, no error.
new_overlay disk
qemu-img create -q -f qcow2 "$work/data.qcow2" 64M
killer() {
	local n=0 pid
	until grep -qa '^WRITING' "$work/console" || [ -e "$work/ended" ]; do sleep 0.2; done
	while [ $n -lt 5 ] && ! grep -qa '^WRITTEN' "$work/console" && [ ! -e "$work/ended" ]; do
		pid=$(pgrep -f 'hv-backend-blk.*data.qcow2') && kill -9 "$pid" && n=$((n + 1))
		sleep 1
	done
	echo "$n" >"$work/kills"
}
: >"$work/console"
killer &
hvm_boot disk 2 'dd if=/dev/urandom of=/tmp/data bs=1M count=8 2>/dev/null; sha256sum </tmp/data
	echo WRITING
	for i in 1 2 3 4; do dd if=/tmp/data of=/dev/vdb bs=64k oflag=direct 2>/dev/null || echo FAILED; done
	echo WRITTEN
	echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/vdb bs=1M count=8 2>/dev/null | sha256sum
	dmesg | grep -iE "I/O error|blk_update_request" ; echo END' \
	--disk "$work/data.qcow2,backend=process"
check killed_status test $? = 0
: >"$work/ended"
wait
check killed_some test "$(cat "$work/kills")" -gt 0
check killed_no_error bash -c "! grep -qaE '^FAILED|I/O error' $work/console"
check killed_same test "$(grep -acE '^[0-9a-f]{64}' "$work/console")" = 2 -a \
	"$(grep -aoE '^[0-9a-f]{64}' "$work/console" | sort -u | wc -l)" = 1
check killed_came_back console_has 'blk1: the back end is back'
check killed_image_good qemu-img check -r leaks "$work/data.qcow2"
check killed_none_left bash -c '! pgrep hv-backend'
[ "$failures" = 0 ] || tail -n 40 "$work/console"

# Stock QEMU with our back end as the root disk.
new_overlay disk
hv-backend-blk --disk "$work/disk.qcow2,queues=2" --socket /tmp/blk.sock 2>"$work/backend.log" &
backend=$!
for _ in $(seq 100); do [ -S /tmp/blk.sock ] && break; sleep 0.1; done
timeout -k 5 $((120 * slow)) qemu-system-x86_64 -M q35,memory-backend=m -accel "kvm,device=$device" -cpu host -m 512 \
	-object memory-backend-memfd,id=m,size=512M,share=on -nodefaults -no-user-config -display none \
	-serial stdio -no-reboot -kernel /guest/vmlinuz -initrd /guest/initrd.img \
	-append "$(guest_cmdline 'echo kept >/kept; sync; dd if=/dev/urandom of=/big bs=1M count=8 2>/dev/null; sync; echo GOOD')" \
	-chardev socket,id=c,path=/tmp/blk.sock -device vhost-user-blk-pci,chardev=c,num-queues=2 \
	>"$work/console" 2>&1 </dev/null
check qemu_status test $? = 0
check qemu_wrote console_has '^GOOD'
# hvm takes the same back end over, which kept what was written.
timeout -k 5 $((120 * slow)) hvm run --accel "$device" --kernel /guest/vmlinuz --initrd /guest/initrd.img \
	--append "$(guest_cmdline 'cat /kept')" --mem 512M --disk vhost-user,socket=/tmp/blk.sock \
	>"$work/console" 2>&1 </dev/null
check hvm_after_qemu test $? = 0
check hvm_reads console_has '^kept'
kill $backend
wait $backend
check backend_status test $? = 0
check backend_image_good image_clean disk
[ "$failures" = 0 ] || cat "$work/backend.log"

# A network through a back end on TAP.
modprobe tun
ip tuntap add hvtap mode tap
ip addr add 10.77.0.1/24 dev hvtap
ip link set hvtap up
new_overlay disk
GUEST_APPEND=hv.modules=more hvm_boot disk 1 "ip addr add 10.77.0.2/24 dev eth0; ip link set eth0 up
	busybox ping -c 3 -W 10 10.77.0.1 >/tmp/ping; echo PING \$(grep -c 'bytes from' /tmp/ping)" \
	--net tap,ifname=hvtap,backend=process
check net_status test $? = 0
check net_ping console_has '^PING 3'
ip link del hvtap

# A directory of the host's.
mkdir -p "$work/shared/sub"
head -c 3000000 /dev/urandom >"$work/shared/from-host"
sum=$(sha256sum <"$work/shared/from-host" | cut -d' ' -f1)
new_overlay disk
GUEST_APPEND=hv.modules=more hvm_boot disk 1 'mkdir -p /tmp/m; mount -t virtiofs share /tmp/m || echo NO-MOUNT
	sha256sum </tmp/m/from-host; cp /tmp/m/from-host /tmp/m/sub/copy; mv /tmp/m/sub/copy /tmp/m/renamed
	ln -s renamed /tmp/m/link; rm /tmp/m/from-host; ls /tmp/m/sub | wc -l; sync; umount /tmp/m; echo UNMOUNTED' \
	--fs "$work/shared,tag=share,server=/opt/qemu-7.2/bin/virtiofsd"
check fs_status test $? = 0
check fs_read console_has "^$sum" '^UNMOUNTED'
check fs_written test "$(sha256sum <"$work/shared/renamed" | cut -d' ' -f1)" = "$sum"
check fs_removed test ! -e "$work/shared/from-host" -a -L "$work/shared/link" -a ! -e "$work/shared/sub/copy"
check fs_none_left bash -c '! pgrep virtiofsd'
[ "$failures" = 0 ] || tail -n 40 "$work/console"
unload_device
finish
