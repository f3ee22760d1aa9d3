# SPDX-License-Identifier: GPL-2.0-or-later
# The conversation with a debugger; the test is the guest.
UNIT_TESTS += gdb_test
gdb_test_SRCS := selftests/unit/gdb_test.c selftests/unit/unit_test.c vmm-user/gdb/packet.c \
	vmm-user/gdb/regs.c vmm-user/gdb/stub.c
