# SPDX-License-Identifier: GPL-2.0-or-later
UNIT_TESTS += firmware_test pflash_test
firmware_test_SRCS := selftests/unit/firmware_test.c selftests/unit/pci_fake_vm.c selftests/unit/unit_test.c \
	vmm-user/chipset/fw_cfg.c vmm-user/chipset/acpi_loader.c vmm-user/chipset/acpi.c \
	vmm-user/chipset/q35.c vmm-user/chipset/pci.c vmm-user/chipset/pci_dev.c \
	vmm-user/chipset/pci_msix.c virtio-backends/state.c virtio-backends/util/log.c \
	virtio-backends/util/err.c
firmware_test_CFLAGS := -I$(B)/vmm-user/chipset
firmware_test_LIBS := -lz -lpthread
pflash_test_SRCS := selftests/unit/pflash_test.c selftests/unit/unit_test.c vmm-user/chipset/pflash.c \
	vmm-user/bus.c virtio-backends/state.c virtio-backends/util/err.c
pflash_test_LIBS := -lz -lpthread
