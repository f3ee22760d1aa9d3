# SPDX-License-Identifier: GPL-2.0-or-later
UNIT_TESTS += walk_test
walk_test_SRCS := selftests/unit/walk_test.c selftests/unit/emulate_native.c kmod/mmu/walk.c
walk_test_CFLAGS := -Iselftests/unit/kshim -Ikmod
walk_test_LIBS :=
