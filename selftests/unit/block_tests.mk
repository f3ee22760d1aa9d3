# SPDX-License-Identifier: GPL-2.0-or-later
BLOCK_TEST_SRCS := $(wildcard virtio-backends/block/*.c virtio-backends/block/qcow2/*.c) \
	virtio-backends/loop.c virtio-backends/util/err.c virtio-backends/util/log.c \
	selftests/unit/block_util.c
BLOCK_TEST_LIBS := -luring -lz -lzstd -lpthread

UNIT_TESTS += qcow2_model_test
qcow2_model_test_SRCS := selftests/unit/qcow2_model_test.c $(BLOCK_TEST_SRCS)
qcow2_model_test_CFLAGS :=
qcow2_model_test_LIBS := $(BLOCK_TEST_LIBS)

UNIT_TESTS += qcow2_crash_test
qcow2_crash_test_SRCS := selftests/unit/qcow2_crash_test.c $(BLOCK_TEST_SRCS)
qcow2_crash_test_CFLAGS :=
qcow2_crash_test_LIBS := $(BLOCK_TEST_LIBS)

UNIT_TESTS += qcow2_bad_test
qcow2_bad_test_SRCS := selftests/unit/qcow2_bad_test.c $(BLOCK_TEST_SRCS)
qcow2_bad_test_CFLAGS :=
qcow2_bad_test_LIBS := $(BLOCK_TEST_LIBS)

UNIT_TESTS += block_test
block_test_SRCS := selftests/unit/block_test.c $(BLOCK_TEST_SRCS)
block_test_CFLAGS :=
block_test_LIBS := $(BLOCK_TEST_LIBS)

UNIT_TESTS += qcow2_snapshot_test
qcow2_snapshot_test_SRCS := selftests/unit/qcow2_snapshot_test.c $(BLOCK_TEST_SRCS)
qcow2_snapshot_test_CFLAGS :=
qcow2_snapshot_test_LIBS := $(BLOCK_TEST_LIBS)
