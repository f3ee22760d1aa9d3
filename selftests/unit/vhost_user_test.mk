# SPDX-License-Identifier: GPL-2.0-or-later
UNIT_TESTS += vhost_user_test
vhost_user_world_SRCS := selftests/unit/vhost_user_world.c selftests/unit/blk_toy.c \
	selftests/unit/virtio_driver.c selftests/unit/unit_test.c selftests/unit/unit_log.c \
	$(wildcard virtio-backends/vhost_user*.c) virtio-backends/virtq_track.c \
	virtio-backends/blk.c virtio-backends/blk_request.c virtio-backends/limit.c \
	virtio-backends/loop.c virtio-backends/io_thread.c virtio-backends/virtq.c \
	virtio-backends/virtio.c virtio-backends/state.c virtio-backends/util/log.c \
	virtio-backends/util/err.c
vhost_user_test_SRCS := selftests/unit/vhost_user_test.c $(vhost_user_world_SRCS)
vhost_user_test_LIBS := -lz -lpthread

UNIT_TESTS += vhost_user_hostile_test
vhost_user_hostile_test_SRCS := selftests/unit/vhost_user_hostile_test.c $(vhost_user_world_SRCS)
vhost_user_hostile_test_LIBS := -lz -lpthread

UNIT_TESTS += vhost_user_kill_test
vhost_user_kill_test_SRCS := selftests/unit/vhost_user_kill_test.c \
	$(filter-out %/vhost_user_world.c %/blk_toy.c,$(vhost_user_world_SRCS)) \
	$(wildcard virtio-backends/block/*.c) $(wildcard virtio-backends/block/qcow2/*.c)
vhost_user_kill_test_LIBS := -luring -lz -lzstd -lpthread
