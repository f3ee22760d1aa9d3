#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Type a command at a guest's console: console.py GUEST COMMAND EXPECTED."""
import os
import pty
import select
import sys
import time

guest, command, expected = sys.argv[1:]
pid, fd = pty.fork()
if pid == 0:
	os.execvp("virsh", ["virsh", "console", guest, "--force"])
seen = b""
end = time.monotonic() + 40
sent = 0.0
while expected.encode() not in seen and time.monotonic() < end:
	if time.monotonic() - sent > 5 and b"Escape character" in seen:
		os.write(fd, command.encode() + b"\r")
		sent = time.monotonic()
	if select.select([fd], [], [], 0.5)[0]:
		try:
			seen += os.read(fd, 4096)
		except OSError:
			break
os.write(fd, b"\x1d")
sys.stdout.write(seen.decode(errors="replace"))
sys.exit(expected.encode() not in seen)
