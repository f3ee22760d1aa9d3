#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The guest's balloon, and its sockets to the host with and without vhost.
# Functions are called by check; much is for the guest to expand.
# shellcheck disable=SC2317,SC2016
# shellcheck source=selftests/e2e/lib.sh
. /with/lib.sh

modprobe -a vhost_vsock vsock	# before the log that must stay clean
load_device "" || not_ok load
BOOT_TIMEOUT=400
GUEST_APPEND=hv.modules=more
new_overlay devices
head -c 5000000 /dev/urandom >"$work/sent"
sent=$(sha256sum <"$work/sent" | cut -d' ' -f1)

# wait_for COMMAND...: until it succeeds, a minute at most.
wait_for() {
	local i
	for ((i = 0; i < 300 * slow; i++)); do
		"$@" 2>/dev/null && return
		sleep 0.2
	done
	return 1
}

# The guest runs what comes to its port 5000, and stays until it is told to end.
guest_script='socat -t 60 VSOCK-LISTEN:5000,fork EXEC:sh &
until [ -e /run/end ]; do sleep 0.2; done'

# start_guest OPTION...
start_guest() {
	hvm_boot devices 2 "$guest_script" --name devices "$@" &
	job=$!
}

# in_guest COMMAND: its output, by way of the socket.
in_guest() {
	if [ -n "${cid:-}" ]; then
		printf '%s\n' "$1" | timeout 60 socat -t 30 - "VSOCK-CONNECT:$cid:5000"
	else
		printf 'CONNECT 5000\n%s\n' "$1" | timeout 60 socat -t 30 - "UNIX-CONNECT:$work/vsock" |
			sed 1d
	fi
}

guest_answers() {
	[ "$(in_guest 'echo $((6 * 7))')" = 42 ]
}

# sockets_test NAME LISTEN: data both ways; LISTEN is where the host's side of port 6000 is.
sockets_test() {
	local name=$1
	check "${name}_answers" wait_for guest_answers
	socat -u "OPEN:$work/sent" "$2" &
	server=$!
	sleep 1
	check "${name}_received" test "$(in_guest 'socat -u VSOCK-CONNECT:2:6000 CREATE:/run/got
		sha256sum </run/got | cut -d" " -f1')" = "$sent"
	kill $server 2>/dev/null
	wait $server
	in_guest 'cat /run/got' >"$work/back"
	check "${name}_sent" cmp "$work/sent" "$work/back"
	check "${name}_refused" test "$(in_guest 'socat -u VSOCK-CONNECT:2:6001 - 2>&1 | grep -c reset')" = 1
}

end_guest() {
	in_guest 'touch /run/end'
	wait $job
	check "$1_status" test $? = 0
}

# MiB of the host's memory that hvm has.
hvm_memory() {
	awk '/^Rss:/ { print int($2 / 1024) }' "/proc/$(pgrep -x hvm)/smaps_rollup"
}

hvm_memory_below() {
	[ "$(hvm_memory)" -lt "$1" ]
}

balloon_field() {
	hvm balloon devices --json | sed -nE "s/.*\"$1\": (-?[0-9]+).*/\1/p"
}

keeps() {
	[ "$(balloon_field actual)" = $(($1 << 20)) ]
}

# More MiB than the guest has for anything else, and away again.
fill_memory() {
	in_guest 'dd if=/dev/urandom of=/tmp/fill bs=1M count=200 2>/dev/null; rm /tmp/fill; echo filled'
}

# ---- Unix sockets, and the balloon meanwhile ----

start_guest --vsock "socket=$work/vsock" --balloon
sockets_test vsock "UNIX-LISTEN:$work/vsock_6000"
check balloon_filled test "$(fill_memory)" = filled
# What was free for some seconds comes back by itself.
check balloon_reported wait_for hvm_memory_below 200
check balloon_all test "$(balloon_field actual)" = $((512 << 20))
check balloon_statistics test "$(balloon_field total_memory)" -gt $((400 << 20))
free=$(in_guest "awk '/^MemFree:/ { print \$2 }' /proc/meminfo")
check balloon_inflate hvm balloon devices 400M
check balloon_inflated wait_for keeps 400
check balloon_seen_inside test "$(in_guest "awk '/^MemFree:/ { print \$2 < $free - 60000 }' /proc/meminfo")" = 1
check balloon_deflate hvm balloon devices 512M
check balloon_deflated wait_for keeps 512
check balloon_trim hvm balloon devices --trim
check balloon_still_works guest_answers
hvm balloon devices 600M 2>"$work/err"
check balloon_too_much grep -q '32 to 512 MiB' "$work/err"
end_guest vsock
check vsock_no_socket_left test ! -e "$work/vsock"

# ---- A named port, while the guest's shell is reached as before ----

start_guest --vsock "socket=$work/vsock" --port "hv.test.0,socket=$work/port"
check port_up wait_for guest_answers
check port_named test "$(in_guest 'cat /sys/class/virtio-ports/vport*/name')" = hv.test.0
# The guest sends back what comes, in upper case, line by line; it reads an end while nobody is there.
in_guest 'port=/dev/$(ls /sys/class/virtio-ports)
	while sleep 0.2; do
		while read -r line; do echo "$line" | tr a-z A-Z; done <>$port >&0
	done >/dev/null 2>&1 &'
check port_echo test "$( (echo one; sleep 2; echo two; sleep 2) | socat -t 5 - "UNIX-CONNECT:$work/port")" = $'ONE\nTWO'
end_guest port
check port_no_socket_left test ! -e "$work/port"

# ---- The kernel's sockets ----

cid=42
start_guest --vsock cid=$cid
sockets_test vhost_vsock VSOCK-LISTEN:6000
hvm balloon devices 2>"$work/err"
check no_balloon grep -q 'run it with --balloon' "$work/err"
end_guest vhost_vsock
check image_clean image_clean devices
unload_device
finish
