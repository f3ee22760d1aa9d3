# SPDX-License-Identifier: GPL-2.0-or-later
# Both ends of the control socket; control_world.c is the machine.
UNIT_TESTS += control_test control_events_test control_client_test qmp_schema_test
CONTROL_SERVER := selftests/unit/control_world.c selftests/unit/control_conn.c \
	selftests/unit/unit_test.c $(filter-out %/client.c,$(wildcard vmm-user/control/*.c)) \
	virtio-backends/loop.c virtio-backends/util/err.c virtio-backends/util/log.c
control_test_SRCS := selftests/unit/control_test.c $(CONTROL_SERVER)
control_test_LIBS := -ljansson -lpthread
control_events_test_SRCS := selftests/unit/control_events_test.c $(CONTROL_SERVER)
control_events_test_LIBS := -ljansson -lpthread
qmp_schema_test_SRCS := selftests/unit/qmp_schema_test.c $(CONTROL_SERVER)
qmp_schema_test_LIBS := -ljansson -lpthread
control_client_test_SRCS := selftests/unit/control_client_test.c selftests/unit/control_world.c \
	selftests/unit/unit_test.c $(filter-out vmm-user/main.c vmm-user/machine.c,$(HVM_SRCS))
control_client_test_CFLAGS := -I$(B)/vmm-user/chipset
control_client_test_LIBS := $(HVM_LIBS)
