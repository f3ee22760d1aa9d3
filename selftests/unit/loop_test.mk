# SPDX-License-Identifier: GPL-2.0-or-later
UNIT_TESTS += loop_test
loop_test_SRCS := selftests/unit/loop_test.c selftests/unit/virtio_driver.c \
	virtio-backends/loop.c virtio-backends/io_thread.c virtio-backends/virtq.c \
	virtio-backends/virtio.c virtio-backends/state.c virtio-backends/util/log.c \
	virtio-backends/util/err.c
loop_test_LIBS := -lz -lpthread
