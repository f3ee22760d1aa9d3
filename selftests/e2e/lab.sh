#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The lab keeps its promises: lab.sh svm|vmx (on the development machine, not inside the lab).
set -uo pipefail

hw=${1:-svm}
case $hw in
svm) kvm=kvm_amd ;;
vmx) kvm=kvm_intel ;;
*)
	echo "lab.sh: svm or vmx, not $hw" >&2
	exit 2
	;;
esac
top=$(cd "$(dirname "$0")/../.." && pwd)
lab() {
	"$top/scripts/lab/lab" --hw "$hw" --no-hv --timeout 180 "$@"
}
# Filling the cache says so on stderr; do it first.
for kernel in 6.12 6.1; do
	"$top/scripts/lab/lab" --hw "$hw" --no-hv --kernel $kernel --prepare || exit 1
done
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failures=0
check() {
	local name=$1
	shift
	if "$@"; then
		echo "ok $name"
	else
		echo "not ok $name"
		echo "  failed: $*"
		failures=$((failures + 1))
	fi
}

mkdir "$tmp/dir"
echo content >"$tmp/dir/file"
printf 'a "quoted" name' >"$tmp/it's"
# shellcheck disable=SC2016
lab --with "$tmp/dir" --with "$tmp/it's" --cpus 2 -- env KVM=$kvm bash -c '
	printf "x\r\ny\0z"; echo to-stderr >&2; seq 100000
	cat /with/dir/file "/with/it'"'"'s"; nproc; id -u; ls /dev/fd >/dev/null && echo fds
	modprobe $KVM && test -c /dev/kvm && echo kvm; which qemu-img hvm-not; exit 42
' arg >"$tmp/out" 2>"$tmp/err"
check exit_status test $? = 42
# shellcheck disable=SC2016
check output_exact cmp "$tmp/out" <(printf 'x\r\ny\0z'; seq 100000; echo content
	printf 'a "quoted" name'; printf '2\n0\nfds\nkvm\n/usr/bin/qemu-img\n')
check stderr_apart cmp "$tmp/err" <(echo to-stderr)

# shellcheck disable=SC2016
lab -- sh -c 'for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done' >"$tmp/both" 2>&1
check merged_order cmp "$tmp/both" <(for i in 1 2 3 4 5; do echo "out $i"; echo "err $i"; done)

# Idle time passes as fast as the emulator can make it.
lab --timeout 60 -- sh -c 'echo begun; sleep 1000000' >"$tmp/out" 2>"$tmp/err"
check timeout_status test $? = 124
check timeout_output grep -q begun "$tmp/out"
check timeout_shows_log grep -q 'kernel log' "$tmp/err"

lab --log "$tmp/log" -- sh -c 'echo c >/proc/sysrq-trigger; sleep 30' >"$tmp/out" 2>"$tmp/err"
check panic_status test $? = 125
check panic_shown grep -q 'Kernel panic' "$tmp/err"
check log_kept grep -q 'Kernel panic' "$tmp/log"
check reset_told grep -qE 'before the command did: (it reset itself|the emulator stopped: reset)' "$tmp/err"

# A host that resets itself by a triple fault leaves nothing in its log.
lab --append reboot=t -- sh -c 'echo b >/proc/sysrq-trigger; sleep 30' >"$tmp/out" 2>"$tmp/err"
check triple_fault_status test $? = 125
check triple_fault_told grep -qE 'a processor had a triple fault|the emulator stopped: exception\(\): 3rd' "$tmp/err"

# Every change of this setting has all processors answer, idle ones too. An emulator that forgot to wake them
# did so where the first one had started the other itself, and not always.
lab --cpus 2 -- taskset 1 python3 -c '
import time
for online in "0", "1":
	open("/sys/devices/system/cpu/cpu1/online", "w").write(online)
setting = open("/proc/sys/kernel/sched_schedstats", "w")
slowest = 0
for n in range(300):
	sum(range(3000))
	start = time.monotonic()
	setting.write(str(n & 1))
	setting.flush()
	slowest = max(slowest, time.monotonic() - start)
print(int(slowest))
' >"$tmp/out" 2>"$tmp/err"
check idle_cpus_wake test "$(cat "$tmp/out")" -lt 3

lab --no-such-option >/dev/null 2>&1
check bad_option test $? = 125
lab --with /nonexistent -- true >/dev/null 2>&1
check bad_with test $? = 125

# Two at a time: neither sees the other's files.
lab -- sh -c 'echo 1 >/tmp/mark; sleep 3; cat /tmp/mark' >"$tmp/one" 2>&1 &
lab --kernel 6.1 -- sh -c 'echo 2 >/tmp/mark; sleep 3; cat /tmp/mark; uname -r' >"$tmp/two" 2>&1
wait
check parallel_one cmp "$tmp/one" <(echo 1)
check parallel_two test "$(head -n 1 "$tmp/two")" = 2
check kernel_6.1 grep -q '^6\.1\.' "$tmp/two"

# Killed in the hardest way, the script takes its emulator along.
TMPDIR=$tmp setsid "$top/scripts/lab/lab" --hw "$hw" --no-hv -- sleep 600 >/dev/null 2>&1 &
killed=$!
for n in $(seq 300); do
	emulator=$(pgrep -P $killed -x timeout) && emulator=$(pgrep -P "$emulator") && break
	sleep 0.1
done
{
	kill -KILL $killed
	wait $killed
} 2>/dev/null
for n in $(seq 100); do
	kill -0 "$emulator" 2>/dev/null || break
	sleep 0.1
done
check killed_with_script test -n "$emulator" -a "$n" -lt 100

# A deterministic host: python measures its own work.
# shellcheck disable=SC2016
measure='
import time, os
best = 1 << 62
for n in range(30):
	t = time.perf_counter_ns()
	sum(range(20000))
	best = min(best, time.perf_counter_ns() - t)
print(best, time.strftime("%Y-%m-%d"), os.urandom(8).hex())'
for i in 1 2; do
	lab --deterministic --log "$tmp/klog$i" -- env PYTHONHASHSEED=0 python3 -c "$measure" >"$tmp/det$i" 2>&1
done
cat "$tmp/det1" "$tmp/det2"
check fixed_date grep -q ' 2025-01-01 ' "$tmp/det1"

if [ "$hw" = svm ]; then
	# Within a tenth of a percent: caches filled by the disk at its own pace make the difference.
	# shellcheck disable=SC2016
	check deterministic awk 'NR == 1 { a = $1 } { b = $1 }
		END { d = a > b ? a - b : b - a; exit !(a > 0 && d * 1000 <= a) }' "$tmp/det1" "$tmp/det2"
	lab --cpu-model corei7_skylake_x -- true >/dev/null 2>&1
	check no_cpu_model test $? = 125
else
	# Every byte, the kernel's times and random numbers included.
	check deterministic_output cmp "$tmp/det1" "$tmp/det2"
	check deterministic_log cmp "$tmp/klog1" "$tmp/klog2"
	check log_has_times grep -q '^\[ *[0-9]*\.[0-9]*\] Run /init' "$tmp/klog1"

	lab --cpu-model corei7_haswell_4770 --cpus 1 -- cat /proc/cpuinfo >"$tmp/out" 2>&1
	check cpu_model grep -q 'model name.*i7-4770' "$tmp/out"
	check cpu_model_vmx grep -qE '^vmx flags.*ept.*unrestricted_guest' "$tmp/out"
	lab --cpu-model nonsense -- true >"$tmp/out" 2>&1
	check bad_cpu_model test $? = 125
	check bad_cpu_model_says_which grep -q corei7_skylake_x "$tmp/out"
fi
exit $((failures != 0))
