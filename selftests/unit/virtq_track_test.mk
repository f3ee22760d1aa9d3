# SPDX-License-Identifier: GPL-2.0-or-later
UNIT_TESTS += virtq_track_test
virtq_track_test_SRCS := selftests/unit/virtq_track_test.c selftests/unit/unit_test.c \
	virtio-backends/virtq.c virtio-backends/virtq_track.c virtio-backends/virtio.c \
	virtio-backends/state.c virtio-backends/util/log.c virtio-backends/util/err.c
virtq_track_test_LIBS := -lz -lpthread
