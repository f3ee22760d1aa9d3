# SPDX-License-Identifier: GPL-2.0-or-later
UNIT_TESTS += disk_cli_test
disk_cli_test_SRCS := selftests/unit/disk_cli_test.c selftests/unit/unit_test.c \
	$(filter-out vmm-user/main.c,$(HVM_SRCS))
disk_cli_test_CFLAGS := -I$(B)/vmm-user/chipset
disk_cli_test_LIBS := $(HVM_LIBS)
