# SPDX-License-Identifier: GPL-2.0-or-later
# Both ends of the control socket; control_world.c is the machine.
UNIT_TESTS += control_test control_client_test
control_test_SRCS := selftests/unit/control_test.c selftests/unit/control_world.c \
	selftests/unit/unit_test.c vmm-user/control/server.c vmm-user/control/commands_block.c \
	vmm-user/control/runtime.c \
	virtio-backends/loop.c virtio-backends/util/err.c virtio-backends/util/log.c
control_test_LIBS := -ljansson -lpthread
control_client_test_SRCS := selftests/unit/control_client_test.c selftests/unit/control_world.c \
	selftests/unit/unit_test.c $(filter-out vmm-user/main.c vmm-user/machine.c,$(HVM_SRCS))
control_client_test_CFLAGS := -I$(B)/vmm-user/chipset
control_client_test_LIBS := $(HVM_LIBS)
