# SPDX-License-Identifier: GPL-2.0-or-later
UNIT_TESTS += virtio_hostile_test
virtio_hostile_test_SRCS := selftests/unit/virtio_hostile_test.c \
	selftests/unit/unit_test.c selftests/unit/unit_log.c \
	selftests/unit/virtio_driver.c virtio-backends/blk.c virtio-backends/blk_request.c \
	virtio-backends/console.c virtio-backends/rng.c virtio-backends/loop.c \
	virtio-backends/io_thread.c virtio-backends/virtq.c virtio-backends/virtq_track.c virtio-backends/virtio.c \
	virtio-backends/state.c virtio-backends/util/log.c virtio-backends/util/err.c virtio-backends/util/listen.c \
	selftests/unit/net_toy.c $(wildcard virtio-backends/net*.c virtio-backends/net/*.c) \
	virtio-backends/vhost.c virtio-backends/watch.c virtio-backends/balloon.c virtio-backends/ports.c $(wildcard virtio-backends/vsock*.c) virtio-backends/limit.c $(wildcard virtio-backends/block/*.c) $(wildcard virtio-backends/block/qcow2/*.c)
virtio_hostile_test_LIBS := -luring -lz -lzstd -lpthread
