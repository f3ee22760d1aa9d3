#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Stock QEMU 10 offers Hyper-V's interface; Debian keeps time and sends IPIs by it, and shuts down.
# shellcheck source=selftests/e2e/lib.sh
. /with/lib.sh

load_device "" || not_ok load

features=hv_relaxed,hv_vapic,hv_time,hv_vpindex,hv_synic,hv_stimer,hv_runtime,hv_crash,hv_reset
features+=,hv_tlbflush,hv_ipi,hv_frequencies
# What a Linux guest says that it found, what it keeps time by, and some load on two processors.
# shellcheck disable=SC2016
script='dmesg | grep -E "Hyper-V|Hypervisor"
cat /sys/devices/system/clocksource/clocksource0/current_clocksource
cat /proc/interrupts | grep -i hyper
i=0; while [ $i -lt 30 ]; do taskset 1 true; taskset 2 true; i=$((i+1)); done; sleep 1; echo HV-LOAD-DONE
sync; touch /root/x'

# Without KVM's signature beside it, Linux takes Hyper-V's interface.
new_overlay hyperv
CPU_MODEL=host,kvm=off,hv_stimer_direct,$features qemu_boot qemu-system-x86_64 hyperv q35 "$script" -smp 2
check hyperv_status test $? = 0
check hyperv_ready console_has 'HV-GUEST-READY .*cpus=2 ' 'HV-GUEST-EXIT 0' HV-LOAD-DONE
check hyperv_detected console_has 'Hypervisor detected: Microsoft Hyper-V'
check hyperv_clock console_has '^hyperv_clocksource_tsc_page'
check hyperv_image_clean image_clean hyperv

# Beside KVM's interface, which moves to 0x40000100.
new_overlay both
CPU_MODEL=host,$features qemu_boot qemu-system-x86_64 both q35 "$script" -smp 2
check both_status test $? = 0
check both_ready console_has 'HV-GUEST-READY .*cpus=2 ' 'HV-GUEST-EXIT 0' HV-LOAD-DONE 'Hypervisor detected: KVM'

# All that the device offers.
new_overlay passthrough
CPU_MODEL=host,kvm=off,hv-passthrough qemu_boot qemu-system-x86_64 passthrough q35 "$script" -smp 2
check passthrough_status test $? = 0
check passthrough_ready console_has 'HV-GUEST-READY .*cpus=2 ' 'HV-GUEST-EXIT 0' HV-LOAD-DONE

check base_untouched base_untouched
unload_device
finish
