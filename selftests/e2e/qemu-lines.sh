#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Stock QEMU's command lines, on stock KVM and then on hv: the same must come about. Further arguments
# go to lines.py run.
# shellcheck source=selftests/e2e/lib.sh
. /with/lib.sh

# lib.sh has the device from the first argument; here it is both.
shift
kvm=$(device=/dev/kvm device_module)
# Some guests are in huge pages.
echo 110 >/proc/sys/vm/nr_hugepages
modprobe "$kvm" || not_ok load_kvm
python3 /with/qemu/lines.py run /dev/kvm "$work/kvm.json" "$@" || not_ok run_kvm
modprobe -r "$kvm"
load_device kvm_device=1 || not_ok load
python3 /with/qemu/lines.py run /dev/hv "$work/hv.json" "$@" || not_ok run_hv
python3 /with/qemu/lines.py compare "$work/kvm.json" "$work/hv.json" || failures=$((failures + 1))
unload_device
finish
