#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A running guest and its control socket: information, statistics, events, console, reset; and gdb, which
# steps its kernel.
# shellcheck source=selftests/e2e/lib.sh disable=SC2317,SC2016
. /with/lib.sh

load_device "" || not_ok load

# guest_up: the guest's script has begun.
guest_up() {
	for _ in $(seq $((600 * slow))); do
		grep -qa CONTROL-UP "$work/serial" && return
		sleep 0.2
	done
	return 1
}

# has FILE PATTERN...: the file has them all.
has() {
	local file=$1 p
	shift
	for p in "$@"; do
		grep -qE -- "$p" "$file" || { echo "no $p in:"; tail -n 40 "$file"; return 1; }
	done
}

# in_gdb COMMAND...: what gdb prints; it leaves the guest running.
in_gdb() {
	local -a args=()
	local c
	for c in "$@"; do
		args+=(-ex "$c")
	done
	timeout $((60 * slow)) gdb -nx -batch -iex 'set architecture i386:x86-64' -ex 'set pagination off' \
		-ex 'set confirm off' -ex 'set remotetimeout 60' -ex "target remote $work/gdb" \
		"${args[@]}" -ex detach >"$work/gdb.out" 2>&1 </dev/null
}

new_overlay control
GUEST_APPEND=hv.modules=more BOOT_TIMEOUT=600 hvm_boot control 2 'echo CONTROL-UP; while :; do sleep 1; done' --name control --balloon --console pty \
	--serial "file:$work/serial" --gdb "unix:$work/gdb,wait" &
pid=$!

# Before its first instruction.
for _ in $(seq 100); do [ -S "$work/gdb" ] && break; sleep 0.1; done
check gdb_waits sh -c 'hvm ps | grep -q "debug "'
in_gdb 'info threads' 'printf "pc %#lx\n", $pc' 'stepi' 'printf "then %#lx\n", $pc' 'x/2i $pc' \
	'printf "cs %#x\n", $cs'
check gdb_start has "$work/gdb.out" 'vCPU 0' 'vCPU 1' '^pc 0x[1-9a-f]' '^then 0x[1-9a-f]'
check gdb_stepped test "$(sed -n 's/^pc //p' "$work/gdb.out")" != "$(sed -n 's/^then //p' "$work/gdb.out")"

check boot guest_up
hvm events control >"$work/events" 2>&1 &
events=$!

# In the running kernel: where the system calls enter, by a breakpoint of the processor.
in_gdb 'info registers rip' 'set $entry = $pc' 'stepi' 'stepi' 'printf "at %#lx\n", $pc' \
	'info registers cr3' 'thread 2' 'printf "second %#lx\n", $pc' 'x/8xb $pc' \
	'thread 1' 'tbreak *0' 'delete' 'hbreak *$pc' 'continue' 'printf "again %#lx\n", $pc'
check gdb_kernel has "$work/gdb.out" '^at 0x[0-9a-f]+$' '^second 0x[0-9a-f]+$'
sed -n 's/^/    /p' "$work/gdb.out" | tail -n 12
check runs_after_gdb sh -c 'hvm ps | grep -q "running "'

hvm info control >"$work/info"
check info has "$work/info" '^state +running$' '^memory +512 MiB$' '^processor +1, thread [1-9]' \
	'^disk +blk0 .*qcow2' '^console0 +pty:/dev/pts/'
hvm stats control --prometheus >"$work/stats"
check stats has "$work/stats" '^hvm_up\{name="control"\} 1$' '^hvm_vcpu_exits\{name="control",vcpu="1"\} [1-9]' \
	'^hvm_device_reads\{name="control",device="blk0"\} [1-9]' '^hvm_process_guest_bytes\{name="control"\} [1-9]' \
	'^hvm_process_private_bytes\{name="control"\} [1-9]'
grep -E 'hvm_process' "$work/stats"
check qmp sh -c 'hvm qmp control query-kvm | grep -q "\"enabled\": true"'
check qmp_refuses sh -c '! hvm qmp control human-monitor-command 2>/dev/null'
printf '%s\n' '{"execute": "query-status", "id": 7}' | hvm qmp control >"$work/qmp"
check qmp_lines has "$work/qmp" '"status": "running"\}, "id": 7'

hvm pause control
check paused sh -c 'hvm info control --json | grep -q "\"status\": \"paused\""'
hvm resume control
hvm balloon control 400M >/dev/null
for _ in $(seq 300); do grep -q BALLOON_CHANGE "$work/events" && break; sleep 0.1; done
printf '\n' | timeout 10 hvm console control >"$work/pty" 2>&1
check console test $? = 0
check console_none sh -c '! hvm console control --serial 2>/dev/null'
: >"$work/serial"
hvm reset control
check boot_after_reset guest_up
hvm stop control --force
wait $pid
check ends test $? = 0
wait $events
check events_end test $? = 0
check events has "$work/events" ' STOP' ' RESUME' ' BALLOON_CHANGE \{"actual"' \
	' RESET \{"guest": false, "reason": "host-qmp-system-reset"\}' \
	' SHUTDOWN \{"guest": false, "reason": "host-qmp-quit"\}'
check gdb_socket_gone test ! -e "$work/gdb"
unload_device
finish
