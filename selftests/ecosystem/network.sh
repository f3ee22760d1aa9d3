#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# libvirt's networks, and guests of ordinary users: network.sh DEVICE [ITEM...].
# shellcheck disable=SC2317 # items are called by name
# shellcheck source=selftests/ecosystem/lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"

device=${1:-/dev/hv}
shift || true
outside=10.77.0.2

# outside_up: a machine beyond the host, that knows no way to the guests' networks.
outside_up() {
	ip netns list | grep -q '^out' && return
	ip netns add out
	ip link add vout type veth peer name eth0 netns out
	ip addr add 10.77.0.1/24 dev vout
	ip link set vout up
	ip -n out addr add "$outside/24" dev eth0
	ip -n out link set eth0 up
}

# guest NAME NETWORK [KERNEL-ARGUMENT]
guest() {
	gone "$1"
	DISK=none CPUS=1 MEM=128 NETWORK=$2 define "$1" "${3:-}"
	virsh start "$1"
}

pings() {
	in_guest "$1" "ping -c 3 -W 3 $2 >/dev/null 2>&1 && echo reached"
}

# NAT: a lease of dnsmasq's, and the way out in the host's name.
item_nat() {
	outside_up
	guest n1 default
	within 120 answers n1
	virsh net-dhcp-leases default | grep -qF "$(address n1)/24"
	[ "$(pings n1 192.168.122.1)" = reached ]
	[ "$(pings n1 "$outside")" = reached ]
	# In the kernel, not by way of QEMU.
	find "/proc/$(cat /run/libvirt/qemu/n1.pid)/fd" -lname /dev/vhost-net | grep -q .
	gone n1
}

# Isolated: guests reach each other and the host, and nothing beyond.
item_isolated() {
	outside_up
	virsh net-destroy inner 2>/dev/null || true
	cat >/tmp/inner.xml <<-XML
		<network><name>inner</name><bridge name='virbr7'/>
		<ip address='10.78.0.1' netmask='255.255.255.0'><dhcp><range start='10.78.0.10' end='10.78.0.20'/></dhcp></ip>
		</network>
	XML
	virsh net-create /tmp/inner.xml
	guest n1 inner
	guest n2 inner
	within 180 answers n1
	within 180 answers n2
	[ "$(pings n1 "$(address n2)")" = reached ]
	in_guest n1 'ip route add default via 10.78.0.1'
	[ -z "$(pings n1 "$outside")" ]
	gone n2
	gone n1
	virsh net-destroy inner
}

# A bridge of the host's own.
item_bridge() {
	ip link show br7 >/dev/null 2>&1 || ip link add br7 type bridge
	ip link set br7 up
	ip addr replace 10.79.0.1/24 dev br7
	cat >/tmp/bridged.xml <<-XML
		<network><name>bridged</name><forward mode='bridge'/><bridge name='br7'/></network>
	XML
	virsh net-destroy bridged 2>/dev/null || true
	virsh net-create /tmp/bridged.xml
	guest n1 bridged hv.address=10.79.0.50/24
	bridge link | grep -q br7
	within 120 sh -c 'ping -c 1 -W 2 10.79.0.50 || busybox ping -c 1 -W 2 10.79.0.50'
	[ "$(ask 10.79.0.50 'ping -c 3 -W 3 10.79.0.1 >/dev/null 2>&1 && echo reached')" = reached ]
	gone n1
	virsh net-destroy bridged
}

# as_user COMMAND...: as a user of the group kvm, with a libvirt of his own.
as_user() {
	runuser -u tester -- env HOME=/home/tester XDG_RUNTIME_DIR="/run/user/$(id -u tester)" \
		LIBVIRT_DEFAULT_URI=qemu:///session "$@"
}

forwarded() {
	[ "$(ask 127.0.0.1:8081 'echo alive')" = alive ]
}

# An ordinary user's guest, whose network is passt's; with libvirt 9.0, which does not know passt, QEMU's own.
item_session() {
	local backend="<backend type='passt'/><portForward proto='tcp'><range start='8081' to='80'/></portForward>"
	[ "$(libvirt_major)" -gt 9 ] || backend=''
	usermod -aG kvm tester
	loginctl enable-linger tester
	within 30 test -d "/run/user/$(id -u tester)"
	mkdir -p /home/tester/guest
	cp "$images/guest.img" /guest/vmlinuz /home/tester/guest/
	chown -R tester: /home/tester
	DISK=none CPUS=1 MEM=128 domain u1 | sed "s,$images/guest.img,/home/tester/guest/guest.img,
		s,/guest/vmlinuz,/home/tester/guest/vmlinuz,
		s,<log file[^>]*>,<log file='/home/tester/console.log'/>,
		s,<interface type='network'><source network='default'/>,<interface type='user'>$backend," >/tmp/u1.xml
	chmod 644 /tmp/u1.xml
	as_user virsh destroy u1 2>/dev/null || true
	as_user virsh define --validate /tmp/u1.xml
	as_user virsh start u1
	pgrep -u tester -f 'qemu-system-x86_64.*guest=u1'
	within 120 grep -q HV-GUEST-READY /home/tester/console.log
	if [ -n "$backend" ]; then
		within 60 forwarded
	fi
	as_user virsh suspend u1
	as_user virsh resume u1
	as_user virsh managedsave u1
	as_user virsh start u1
	as_user virsh domstate u1 | grep -qx running
	as_user virsh destroy u1
	as_user virsh undefine u1
}

run_items "$@"
