#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# hvm boots Debian from a qcow2 overlay with one and two processors, and what the guest wrote is
# there at the next boot.
# shellcheck source=selftests/e2e/lib.sh
. /with/lib.sh

load_device "" || not_ok load

write='dd if=/dev/urandom of=/root/data bs=1M count=8 2>/dev/null; sync; sha256sum /root/data'
read='sha256sum /root/data'

for cpus in 1 2; do
	new_overlay "o$cpus"
	hvm_boot "o$cpus" $cpus "echo \$((6 * 7)); $write"
	check "boot_${cpus}cpu_status" test $? = 0
	check "boot_${cpus}cpu_ready" console_has "HV-GUEST-READY .*cpus=$cpus " '^42' \
		'HV-GUEST-EXIT 0'
	sum=$(grep -aoE '^[0-9a-f]{64}' "$work/console")
	check "boot_${cpus}cpu_wrote" test -n "$sum"
	check "boot_${cpus}cpu_image_clean" image_clean "o$cpus"
	hvm_boot "o$cpus" $cpus "$read"
	check "boot_${cpus}cpu_kept" console_has "${sum:-none}" 'HV-GUEST-EXIT 0'
	check "boot_${cpus}cpu_image_clean_again" image_clean "o$cpus"
done
hvm_boot o1 1 'exit 3'
check exit_of_script console_has 'HV-GUEST-EXIT 3'
check base_untouched base_untouched
unload_device
finish
