#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# QEMU 7.2 knows only /dev/kvm: with kvm_device=1 hv answers there too.
# shellcheck source=selftests/e2e/lib.sh
. /with/lib.sh

if [ "$device" = /dev/hv ]; then
	load_device kvm_device=1 || not_ok load
	check kvm_device test -c /dev/kvm
else
	load_device
fi
qemu-7.2 --version | head -n 1
new_overlay old
qemu_boot qemu-7.2 old q35 'id -u; sync' -smp 2
check q35_status test $? = 0
check q35_ready console_has 'HV-GUEST-READY .*cpus=2 ' 'HV-GUEST-EXIT 0'
new_overlay oldmicro
qemu_boot qemu-7.2 oldmicro microvm 'id -u; sync'
check microvm_status test $? = 0
check microvm_ready console_has 'HV-GUEST-READY .*cpus=1 ' 'HV-GUEST-EXIT 0'
unload_device
[ "$device" = /dev/kvm ] || check kvm_device_gone test ! -e /dev/kvm
finish
