# SPDX-License-Identifier: GPL-2.0-or-later
UNIT_TESTS += virtio_blk_test virtio_blk_policy_test
virtio_blk_toy_SRCS := selftests/unit/blk_toy.c selftests/unit/virtio_driver.c \
	selftests/unit/unit_test.c selftests/unit/unit_log.c \
	virtio-backends/blk.c virtio-backends/blk_request.c virtio-backends/limit.c \
	virtio-backends/loop.c \
	virtio-backends/io_thread.c virtio-backends/virtq.c virtio-backends/virtq_track.c virtio-backends/virtio.c \
	virtio-backends/state.c virtio-backends/util/log.c virtio-backends/util/err.c
virtio_blk_test_LIBS := -lz -lpthread
virtio_blk_test_SRCS := selftests/unit/virtio_blk_test.c $(virtio_blk_toy_SRCS)
virtio_blk_policy_test_SRCS := selftests/unit/virtio_blk_policy_test.c $(virtio_blk_toy_SRCS)
virtio_blk_policy_test_LIBS := -lz -lpthread
