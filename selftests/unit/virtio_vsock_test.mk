# SPDX-License-Identifier: GPL-2.0-or-later
UNIT_TESTS += virtio_vsock_test
virtio_vsock_test_SRCS := selftests/unit/virtio_vsock_test.c selftests/unit/virtio_driver.c \
	selftests/unit/unit_test.c selftests/unit/unit_log.c \
	$(wildcard virtio-backends/vsock*.c) virtio-backends/vhost.c virtio-backends/watch.c \
	virtio-backends/loop.c virtio-backends/io_thread.c virtio-backends/virtq.c virtio-backends/virtq_track.c \
	virtio-backends/virtio.c virtio-backends/state.c virtio-backends/util/log.c \
	virtio-backends/util/err.c virtio-backends/util/listen.c
virtio_vsock_test_LIBS := -lz -lpthread
