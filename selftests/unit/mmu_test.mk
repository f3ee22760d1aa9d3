# SPDX-License-Identifier: GPL-2.0-or-later
UNIT_TESTS += mmu_test
mmu_test_SRCS := selftests/unit/mmu_test.c selftests/unit/mmu_toy.c selftests/unit/unit_test.c \
	kmod/mmu/map.c kmod/mmu/zap.c kmod/mmu/dirty.c kmod/mmu/notifier.c
mmu_test_CFLAGS := -Iselftests/unit/kshim-mmu -Iselftests/unit/kshim -Ikmod
mmu_test_LIBS := -pthread
