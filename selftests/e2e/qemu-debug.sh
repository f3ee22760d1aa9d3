#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# gdb steps and stops a guest of stock QEMU (-s -S), on stock KVM and then on hv: in the same places.
# qemu-debug.sh DEVICE [--quick]
# shellcheck source=selftests/e2e/lib.sh
. /with/lib.sh

shift
debugger() {
	python3 -B -u /with/qemu/debugger.py "$@" || failures=$((failures + 1))
}
kvm=$(device=/dev/kvm device_module)

modprobe "$kvm" || not_ok load_kvm
debugger /dev/kvm "$work/kvm.json" "$@"
modprobe -r "$kvm"
load_device "" || not_ok load
debugger /dev/hv "$work/hv.json" "$@"
debugger compare "$work/kvm.json" "$work/hv.json"
unload_device
finish
