# SPDX-License-Identifier: GPL-2.0-or-later
cpuid_msr_SRCS := selftests/unit/cpuid_msr_world.c selftests/unit/unit_test.c \
	kmod/x86/cpuid.c kmod/x86/cpuid_policy.c \
	kmod/x86/msr.c kmod/x86/pv_msr.c kmod/x86/msr_mem.c kmod/x86/msr_mce.c kmod/x86/regs.c
cpuid_msr_CFLAGS := -Iselftests/unit/kshim-x86 -Iselftests/unit/kshim-irq -Iselftests/unit/kshim \
	-Ikmod
UNIT_TESTS += cpuid_test msr_test regs_test
cpuid_test_SRCS := selftests/unit/cpuid_test.c $(cpuid_msr_SRCS)
msr_test_SRCS := selftests/unit/msr_test.c $(cpuid_msr_SRCS)
regs_test_SRCS := selftests/unit/regs_test.c $(cpuid_msr_SRCS)
cpuid_test_CFLAGS := $(cpuid_msr_CFLAGS)
msr_test_CFLAGS := $(cpuid_msr_CFLAGS)
regs_test_CFLAGS := $(cpuid_msr_CFLAGS)
