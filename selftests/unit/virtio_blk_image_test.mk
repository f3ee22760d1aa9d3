# SPDX-License-Identifier: GPL-2.0-or-later
UNIT_TESTS += virtio_blk_image_test
virtio_blk_image_test_SRCS := selftests/unit/virtio_blk_image_test.c \
	selftests/unit/unit_test.c selftests/unit/unit_log.c \
	selftests/unit/virtio_driver.c virtio-backends/blk.c virtio-backends/blk_request.c virtio-backends/limit.c \
	virtio-backends/loop.c virtio-backends/io_thread.c virtio-backends/virtq.c virtio-backends/virtq_track.c \
	virtio-backends/virtio.c virtio-backends/state.c virtio-backends/util/log.c \
	virtio-backends/util/err.c $(wildcard virtio-backends/block/*.c) \
	$(wildcard virtio-backends/block/qcow2/*.c)
virtio_blk_image_test_LIBS := -luring -lz -lzstd -lpthread
