#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Stock QEMU's command lines, on stock KVM and then on hv: the same must come about.
# qemu-lines.sh DEVICE [ARGUMENT...]: the arguments are for "lines.py run".
# shellcheck source=selftests/e2e/lib.sh
. /with/lib.sh

# lib.sh has the device from the first argument; here it is both.
shift
lines() {
	python3 -B /with/qemu/lines.py "$@"
}
kvm=$(device=/dev/kvm device_module)
# Some guests are in huge pages, and some could have more memory than there is.
echo 110 >/proc/sys/vm/nr_hugepages
echo 1 >/proc/sys/vm/overcommit_memory

modprobe "$kvm" || not_ok load_kvm
lines run /dev/kvm "$work/kvm.json" "$@" || not_ok run_kvm
modprobe -r "$kvm"
# QEMU 7.2 knows only /dev/kvm.
load_device kvm_device=1 || not_ok load
lines run /dev/hv "$work/hv.json" "$@" || not_ok run_hv
lines compare "$work/kvm.json" "$work/hv.json" || failures=$((failures + 1))
unload_device
finish
