# SPDX-License-Identifier: GPL-2.0-or-later
UNIT_TESTS += decode_test
decode_test_SRCS := selftests/unit/decode_test.c selftests/unit/emulate_native.c kmod/x86/decode.c
decode_test_CFLAGS := -Iselftests/unit/kshim -Ikmod
decode_test_LIBS :=
