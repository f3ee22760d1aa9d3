# SPDX-License-Identifier: GPL-2.0-or-later
UNIT_TESTS += cpuid_guest_test
cpuid_guest_test_SRCS := selftests/unit/cpuid_guest_test.c selftests/unit/unit_test.c \
	vmm-user/cpuid.c vmm-user/accel.c virtio-backends/util/err.c
