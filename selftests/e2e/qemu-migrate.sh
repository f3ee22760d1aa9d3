#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A busy guest in stock QEMU is moved: on stock KVM, on hv, and by a file from each to the other.
# qemu-migrate.sh DEVICE [--quick | --intel | TEST...]: a part of it, on hv alone: what takes few minutes, what
# is for the Intel host, or tests of migrate.py by name.
# shellcheck source=selftests/e2e/lib.sh
. /with/lib.sh

migrate() {
	python3 -B -u /with/qemu/migrate.py "$@" || failures=$((failures + 1))
}
kvm=$(device=/dev/kvm device_module)

shift
case ${1:-} in
--quick) set -- file-2 snapshot-2 live-ring ;;
--intel) set -- file-microvm snapshot-1 ;;
esac
if [ $# -gt 0 ]; then
	load_device kvm_device=1 || not_ok load
	migrate /dev/hv "$@"
	unload_device
	finish
fi
modprobe "$kvm" || not_ok load_kvm
migrate /dev/kvm
migrate /dev/kvm save-1 save-2
modprobe -r "$kvm"
load_device kvm_device=1 || not_ok load
migrate /dev/hv
migrate /dev/hv load-1 load-2 save-1 save-2
unload_device
modprobe "$kvm" || not_ok load_kvm
migrate /dev/kvm load-1 load-2
modprobe -r "$kvm"
finish
