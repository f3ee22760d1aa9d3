#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The guest's network: TAP with and without vhost, several queues, passt, the switch between guests;
# data goes both ways and is the same on the other side.
# shellcheck source=selftests/e2e/lib.sh
. /with/lib.sh

load_device "" || not_ok load
modprobe -a tun vhost_net
host=10.77.0.1 guest=10.77.0.2 port=7000
GUEST_APPEND=hv.modules=more
head -c 6000000 /dev/urandom >"$work/sent"
sent=$(sha256sum <"$work/sent" | cut -d' ' -f1)

# serve: offer the file at $port, and put what comes at the next one into $work/received.
serve() {
	rm -f "$work/received"
	socat -u "OPEN:$work/sent" TCP-LISTEN:$port,reuseaddr,fork &
	server=$!
	socat -u TCP-LISTEN:$((port + 1)),reuseaddr "CREATE:$work/received" &
	receiver=$!
}

# What the guest does against the host at $1: fetch, look, send it back.
transfer() {
	cat <<-SCRIPT
		busybox ping -c 3 -W 10 $1 >/tmp/ping; echo "PING \$(grep -c 'bytes from' /tmp/ping)"
		socat -u TCP:$1:$port CREATE:/tmp/got; sha256sum /tmp/got
		socat -u OPEN:/tmp/got TCP:$1:$((port + 1)); echo "SENT \$?"
		# The kernel sends the last of it by itself: do not switch off meanwhile.
		for i in \$(seq 300); do
			ss -Htn state established state fin-wait-1 dport = :$((port + 1)) | grep -q . || break
			sleep 0.2
		done
		ip -s link show eth0
	SCRIPT
}

# transferred NAME: both sides have the same data.
transferred() {
	kill $server $receiver 2>/dev/null
	wait $server $receiver
	check "$1_status" test "$rc" = 0
	# passt of Debian 12 answers no pings to the host itself.
	[ "$1" = passt ] || check "$1_ping" console_has '^PING 3'
	check "$1_received" console_has "^$sent"
	check "$1_sent" test "$(sha256sum <"$work/received" | cut -d' ' -f1)" = "$sent"
}

# tap_test NAME CPUS OPTIONS: through an interface of the host's.
tap_test() {
	local name=$1 cpus=$2 options=$3
	new_overlay net
	serve
	hvm_boot net "$cpus" "ip addr add $guest/24 dev eth0; ip link set eth0 up
		ls /sys/class/net/eth0/queues | wc -l
		$(transfer $host)" --net "tap,ifname=hvtap,$options"
	rc=$?
	transferred "$name"
}

ip tuntap add hvtap mode tap
ip addr add $host/24 dev hvtap
ip link set hvtap up
tap_test tap 1 mac=52:54:00:00:00:77
check tap_rx_counted test "$(cat /sys/class/net/hvtap/statistics/rx_bytes)" -gt 6000000
tap_test vhost 1 vhost=on
ip link del hvtap

ip tuntap add hvtap mode tap multi_queue
ip addr add $host/24 dev hvtap
ip link set hvtap up
tap_test tap_queues 2 queues=2
check tap_queues_used console_has '^4'
tap_test vhost_queues 2 queues=2,vhost=on
ip link del hvtap
# passt: it copies the host's own network for the guest, which reaches the host as its gateway.
modprobe veth
ip link add outer0 type veth peer name outer1
ip addr add 192.0.2.7/24 dev outer0
ip link set outer0 up
ip link set outer1 up
ip route add default via 192.0.2.254
new_overlay net
serve
passt --foreground --runas 0 --socket /tmp/passt.sock --address $guest --netmask 24 --gateway $host \
	>"$work/passt.log" 2>&1 &
passt=$!
for _ in $(seq 100); do
	[ -S /tmp/passt.sock ] && break
	sleep 0.1
done
hvm_boot net 1 "ip addr add $guest/24 dev eth0; ip link set eth0 up; ip route add default via $host
$(transfer $host)" --net passt,socket=/tmp/passt.sock
rc=$?
kill $passt
wait $passt
transferred passt
[ "$failures" = 0 ] || cat "$work/passt.log"

# Two guests on a switch.
new_overlay net
new_overlay net2
hvm_boot net2 1 "ip addr add $host/24 dev eth0; ip link set eth0 up
head -c 3000000 /dev/urandom >/tmp/data; sha256sum /tmp/data
socat -u OPEN:/tmp/data TCP-LISTEN:$port,reuseaddr" --name one --net switch,network=lan &
one=$!
BOOT_CONSOLE=$work/console2 hvm_boot net 1 "ip addr add $guest/24 dev eth0; ip link set eth0 up
for i in \$(seq 60); do socat -u TCP:$host:$port CREATE:/tmp/got && break; sleep 1; done
sha256sum /tmp/got" --name two --net switch,network=lan
check switch_two_status test $? = 0
wait $one
check switch_one_status test $? = 0
sum=$(grep -aoE '^[0-9a-f]{64}' "$work/console")
check switch_sent test -n "$sum"
check switch_received grep -qa "^$sum" "$work/console2"
check switch_left_nothing bash -c '! ls -d /run/hvm/*.switch'
unload_device
finish
