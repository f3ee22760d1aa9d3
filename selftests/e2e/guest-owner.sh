#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# hv and stock KVM do not share the processor: whoever comes second is refused politely.
# shellcheck source=selftests/e2e/lib.sh
. /with/lib.sh

kvm=$(device=/dev/kvm device_module)
modprobe "$kvm" || not_ok load_kvm
dmesg -C
err=$(modprobe hv 2>&1)
check refused test $? != 0
check refused_ebusy grep -q 'Device or resource busy' <<<"$err"
check no_device test ! -e /dev/hv
lines=$(kernel_complaints)
echo "$lines"
check one_line test "$(grep -c . <<<"$lines")" = 1
check line_says_what_to_do grep -qE 'hv: .*kvm' <<<"$lines"
check kvm_still_works test -c /dev/kvm
modprobe -r "$kvm"

load_device "" || not_ok load
check device test -c /dev/hv
# A program that holds the device keeps the module; a VM more so.
exec 7</dev/hv
check in_use_refused bash -c '! modprobe -r hv 2>/dev/null'
exec 7<&-
unload_device
check device_gone test ! -e /dev/hv
# And stock KVM has the processor back.
# shellcheck disable=SC2016
check kvm_after_hv bash -c 'modprobe "$0" && test -c /dev/kvm && modprobe -r "$0"' "$kvm"
finish
