# SPDX-License-Identifier: GPL-2.0-or-later
# Saved state: the file, the child that writes it, the configuration in it, "hvm restore" up to the VM.
UNIT_TESTS += state_test state_config_test
state_test_SRCS := selftests/unit/state_test.c selftests/unit/unit_test.c \
	vmm-user/state/stream.c vmm-user/state/stream_out.c vmm-user/state/job.c \
	virtio-backends/state.c virtio-backends/loop.c virtio-backends/util/err.c \
	virtio-backends/util/log.c
state_test_LIBS := -lz -lpthread
state_config_test_SRCS := selftests/unit/state_config_test.c selftests/unit/unit_test.c \
	$(filter-out vmm-user/main.c,$(HVM_SRCS))
state_config_test_CFLAGS := -I$(B)/vmm-user/chipset
state_config_test_LIBS := $(HVM_LIBS)
# The disks of a snapshot, with devices that only count.
UNIT_TESTS += state_disks_test
state_disks_test_SRCS := selftests/unit/state_disks_test.c selftests/unit/unit_test.c \
	vmm-user/state/disks.c vmm-user/state/saved_config.c \
	$(filter virtio-backends/block/% virtio-backends/loop.c virtio-backends/state.c \
	virtio-backends/util/%,$(HVM_SRCS))
state_disks_test_LIBS := $(HVM_LIBS)
