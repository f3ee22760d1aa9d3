# SPDX-License-Identifier: GPL-2.0-or-later
UNIT_TESTS += emulate_test
emulate_test_SRCS := selftests/unit/emulate_test.c selftests/unit/emulate_machine.c \
	selftests/unit/emulate_native.c kmod/x86/decode.c kmod/x86/emulate.c \
	kmod/x86/emulate_0f.c kmod/x86/emulate_alu.c \
	kmod/x86/emulate_mem.c kmod/x86/emulate_string.c kmod/x86/emulate_vec.c
emulate_test_CFLAGS := -Iselftests/unit/kshim -Ikmod
emulate_test_LIBS :=
