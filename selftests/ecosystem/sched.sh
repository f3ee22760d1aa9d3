#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Linux's scheduler gives guests their time like any process: sched.sh DEVICE [ITEM...].
# shellcheck disable=SC2317 # items are called by name
# shellcheck source=selftests/ecosystem/lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"

device=${1:-/dev/hv}
shift || true

# busy NAME [VCPUS]: a guest whose processors count.
busy() {
	local n
	gone "$1"
	DISK=none CPUS=${2:-1} MEM=128 define "$1" >/dev/null
	[ "${2:-1}" = 1 ] || sed -i 's/ current=.1.//' "/tmp/$1.xml"
	virsh define "/tmp/$1.xml" >/dev/null
	started "$1"
	for n in $(seq "${2:-1}"); do
		in_guest "$1" "awk 'BEGIN { for (;;) if (++n % 20000 == 0) { print n >\"/n.$n\"; close(\"/n.$n\") } }' >/dev/null 2>&1 &"
	done
}

vcpu_threads() {
	grep -l '^CPU .*/KVM$' "/proc/$(cat "/run/libvirt/qemu/$1.pid")"/task/*/comm | sed 's,/comm$,,; s,.*/,,'
}

# used NAME: nanoseconds that its virtual processors ran.
used() {
	local t sum=0
	for t in $(vcpu_threads "$1"); do
		sum=$((sum + $(cut -d' ' -f1 "/proc/$t/schedstat")))
	done
	echo "$sum"
}

# shares SECONDS NAME...: how much each ran in that time, in ms; a line each.
shares() {
	local s=$1 n
	local -A before
	shift
	for n in "$@"; do before[$n]=$(used "$n"); done
	sleep "$s"
	for n in "$@"; do echo $((($(used "$n") - before[$n]) / 1000000)); done
}

# on_cpu CPU NAME...: all of these guests' processors.
on_cpu() {
	local cpu=$1 n t
	shift
	for n in "$@"; do
		for t in $(vcpu_threads "$n"); do taskset -pc "$cpu" "$t"; done
	done
}

# A quota of a fifth of a processor is kept.
item_quota() {
	local ran
	busy s1
	virsh schedinfo s1 --set vcpu_period=100000 --set vcpu_quota=20000 --live
	sleep 2
	ran=$(shares 20 s1)
	echo "figure a quota of 20 %: $((ran / 200)).$((ran / 20 % 10)) % of a processor"
	[ "$ran" -ge 3400 ]
	[ "$ran" -le 4400 ]
	gone s1
}

# Weights divide a processor.
item_weight() {
	local a b
	busy s1
	busy s2
	on_cpu 0 s1 s2
	virsh schedinfo s1 --set cpu_shares=200 --live
	virsh schedinfo s2 --set cpu_shares=100 --live
	sleep 3
	{ read -r a; read -r b; } < <(shares 30 s1 s2)
	echo "figure weights 2 to 1: $a ms and $b ms of 30 s"
	[ $((a * 100 / b)) -ge 170 ]
	[ $((a * 100 / b)) -le 230 ]
	gone s2
	gone s1
}

# The guest sees as stolen what the host gave to others.
item_steal() {
	local t0 t1 ran
	busy s1
	busy s2
	on_cpu 0 s1 s2
	sleep 2
	t0=$(in_guest s1 "awk '/^cpu / { print \$9 }' /proc/stat")
	ran=$(shares 20 s1)
	t1=$(in_guest s1 "awk '/^cpu / { print \$9 }' /proc/stat")
	echo "figure of 20 s it ran $ran ms and saw $(((t1 - t0) * 10)) ms stolen"
	[ $((ran + (t1 - t0) * 10)) -ge 18000 ]
	[ $((ran + (t1 - t0) * 10)) -le 24000 ]
	gone s2
	gone s1
}

# A guest that shall only have what others leave; real-time ones go first.
item_idle_and_fifo() {
	local a b t
	busy s1
	busy s2
	on_cpu 0 s1 s2
	for t in $(vcpu_threads s1); do chrt -i -p 0 "$t"; done
	{ read -r a; read -r b; } < <(shares 20 s1 s2)
	echo "figure SCHED_IDLE beside another: $a ms and $b ms of 20 s"
	[ $((a * 10)) -le "$b" ]
	for t in $(vcpu_threads s1); do chrt -r -p 1 "$t"; done
	{ read -r a; read -r b; } < <(shares 10 s1 s2)
	echo "figure SCHED_RR beside another: $a ms and $b ms of 10 s"
	[ $((b * 5)) -le "$a" ]
	gone s2
	gone s1
}

# fair COUNT: equal guests on two processors get equal time. The spread: the most less the least, of the mean.
fair() {
	local names=() n
	for n in $(seq "$1"); do
		busy "s$n"
		names+=("s$n")
	done
	sleep 5
	shares 90 "${names[@]}" >/tmp/shares
	awk '{ s += $1; if (NR == 1 || $1 < lo) lo = $1; if ($1 > hi) hi = $1 }
		END { m = s / NR; printf "figure %d guests on 2 processors: %d to %d ms of 90 s, spread %.1f %%\n", NR, lo, hi, (hi - lo) * 100 / m
			exit (hi - lo) / m > 0.02 }' /tmp/shares
	for n in "${names[@]}"; do gone "$n"; done
}

item_fair_5() {
	fair 5
}

item_fair_10() {
	fair 10
}

# More virtual processors than real ones: the guest gets on with its work, and the host answers.
item_overcommit() {
	local a b
	busy s1 4
	busy s2 4
	{ read -r a; read -r b; } < <(shares 30 s1 s2)
	echo "figure two guests of 4 on 2 processors: $a ms and $b ms of 30 s"
	[ $((a + b)) -ge 50000 ]
	[ "$(in_guest s1 nproc)" = 4 ]
	[ "$(in_guest s1 'ls /n.* | wc -l')" = 4 ]
	gone s2
	gone s1
}

# What top, ps and perf show of a guest.
item_tools() {
	busy s1
	ps -L -o comm= -p "$(cat /run/libvirt/qemu/s1.pid)" | grep -qx 'CPU 0/KVM'
	ps -o cputime= -p "$(cat /run/libvirt/qemu/s1.pid)" | grep -q :
	top -b -n 1 -H -p "$(cat /run/libvirt/qemu/s1.pid)" | grep -q 'CPU 0/KVM'
	# Guest time is counted as such.
	[ "$(awk '/^cpu / { print $10 }' /proc/stat)" -gt 0 ]
	[ -d /sys/kernel/tracing/events/hv ]
	echo 1 >/sys/kernel/tracing/events/hv/hv_exit/enable
	sleep 1
	echo 0 >/sys/kernel/tracing/events/hv/hv_exit/enable
	grep -q hv_exit /sys/kernel/tracing/trace
	gone s1
}

run_items "$@"
