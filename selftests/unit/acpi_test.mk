# SPDX-License-Identifier: GPL-2.0-or-later
UNIT_TESTS += acpi_test
acpi_test_SRCS := selftests/unit/acpi_test.c selftests/unit/unit_test.c \
	vmm-user/chipset/acpi.c vmm-user/memory/ram.c virtio-backends/util/err.c
acpi_test_CFLAGS := -I$(B)/vmm-user/chipset
