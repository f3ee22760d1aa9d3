#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Ask a guest 50 times a second, by ICMP echo, until a file is there: asker.py ADDRESS FILE.

Prints how many requests were not answered and the longest time without an answer."""
import os
import select
import socket
import struct
import sys
import time

PERIOD = 0.02
PATIENCE = 3.0  # for the last answers

address, stop = sys.argv[1:]
sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
ident = os.getpid() & 0xffff


def checksum(data):
	total = sum(struct.unpack(f"!{len(data) // 2}H", data))
	total = (total & 0xffff) + (total >> 16)
	return ~(total + (total >> 16)) & 0xffff


def request(seq):
	head = struct.pack("!BBHHH", 8, 0, 0, ident, seq & 0xffff)
	return struct.pack("!BBHHH", 8, 0, checksum(head), ident, seq & 0xffff)


def answers():
	"""The sequence numbers that have come."""
	while select.select([sock], [], [], 0)[0]:
		packet = sock.recv(2048)
		kind, _, _, who, seq = struct.unpack("!BBHHH", packet[20:28])
		if kind == 0 and who == ident:
			yield seq


open_requests = set()
sent = 0
start = last = next_at = time.monotonic()
longest = 0.0
end = None
while end is None or (open_requests and time.monotonic() < end):
	now = time.monotonic()
	if end is None and os.path.exists(stop):
		end = now + PATIENCE
	if end is None and now >= next_at:
		try:
			sock.sendto(request(sent), (address, 0))
		except OSError:
			pass  # no route for a moment: not answered
		open_requests.add(sent & 0xffff)
		sent += 1
		next_at = max(next_at + PERIOD, now)
	select.select([sock], [], [], max(0, min(next_at - time.monotonic(), PERIOD)))
	for seq in answers():
		now = time.monotonic()
		longest = max(longest, now - last)
		last = now
		open_requests.discard(seq)
print(f"{len(open_requests)} of {sent} requests lost in {last - start:.0f} s, longest silence {longest * 1000:.0f} ms")
sys.exit(sent == 0 or len(open_requests) == sent)
