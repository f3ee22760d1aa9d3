# SPDX-License-Identifier: GPL-2.0-or-later
UNIT_TESTS += virtio_balloon_test
virtio_balloon_test_SRCS := selftests/unit/virtio_balloon_test.c selftests/unit/virtio_driver.c \
	selftests/unit/unit_test.c selftests/unit/unit_log.c virtio-backends/balloon.c \
	virtio-backends/loop.c virtio-backends/io_thread.c virtio-backends/virtq.c virtio-backends/virtq_track.c \
	virtio-backends/virtio.c virtio-backends/state.c virtio-backends/util/log.c \
	virtio-backends/util/err.c
virtio_balloon_test_LIBS := -lz -lpthread
