# SPDX-License-Identifier: GPL-2.0-or-later
UNIT_TESTS += loop_test
loop_test_SRCS := selftests/unit/loop_test.c selftests/unit/unit_test.c \
	virtio-backends/loop.c virtio-backends/io_thread.c
loop_test_LIBS := -lpthread
