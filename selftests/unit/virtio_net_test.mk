# SPDX-License-Identifier: GPL-2.0-or-later
NET_SRCS := $(wildcard virtio-backends/net*.c virtio-backends/net/*.c) virtio-backends/vhost.c \
	virtio-backends/limit.c virtio-backends/watch.c virtio-backends/loop.c \
	virtio-backends/io_thread.c \
	virtio-backends/virtq.c virtio-backends/virtq_track.c virtio-backends/virtio.c virtio-backends/state.c \
	virtio-backends/util/log.c virtio-backends/util/err.c

UNIT_TESTS += virtio_net_test
virtio_net_test_SRCS := selftests/unit/virtio_net_test.c selftests/unit/net_toy.c \
	selftests/unit/virtio_driver.c selftests/unit/unit_test.c selftests/unit/unit_log.c \
	$(NET_SRCS)
virtio_net_test_LIBS := -lz -lpthread

UNIT_TESTS += net_port_test
net_port_test_SRCS := selftests/unit/net_port_test.c selftests/unit/unit_test.c \
	selftests/unit/unit_log.c $(NET_SRCS)
net_port_test_LIBS := -lz -lpthread
