# SPDX-License-Identifier: GPL-2.0-or-later
UNIT_TESTS += virtq_test
virtq_test_SRCS := selftests/unit/virtq_test.c selftests/unit/virtio_driver.c \
	selftests/unit/unit_test.c selftests/unit/unit_log.c \
	virtio-backends/virtq.c virtio-backends/virtq_track.c virtio-backends/virtio.c virtio-backends/state.c \
	virtio-backends/util/log.c virtio-backends/util/err.c
virtq_test_LIBS := -lz -lpthread
