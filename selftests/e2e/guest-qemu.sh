#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Stock QEMU 10 boots the same guest through the device, as microvm and as q35 with two processors.
# shellcheck source=selftests/e2e/lib.sh
. /with/lib.sh

load_device "" || not_ok load
qemu-system-x86_64 --version | head -n 1

new_overlay microvm
qemu_boot qemu-system-x86_64 microvm microvm 'id -u; sync; touch /root/x'
check microvm_status test $? = 0
check microvm_ready console_has 'HV-GUEST-READY .*cpus=1 ' 'HV-GUEST-EXIT 0'
check microvm_image_clean image_clean microvm

new_overlay q35
qemu_boot qemu-system-x86_64 q35 q35 'id -u; sync; touch /root/x' -smp 2
check q35_status test $? = 0
check q35_ready console_has 'HV-GUEST-READY .*cpus=2 ' 'HV-GUEST-EXIT 0'
check q35_image_clean image_clean q35

check base_untouched base_untouched
unload_device
finish
