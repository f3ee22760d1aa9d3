# SPDX-License-Identifier: GPL-2.0-or-later
UNIT_TESTS += boot_test
boot_test_SRCS := selftests/unit/boot_test.c selftests/unit/unit_test.c vmm-user/boot/boot.c \
	vmm-user/boot/linux.c vmm-user/boot/pvh.c vmm-user/memory/ram.c virtio-backends/util/err.c
