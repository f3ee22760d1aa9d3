# SPDX-License-Identifier: GPL-2.0-or-later
UNIT_TESTS += pci_test
pci_test_SRCS := selftests/unit/pci_test.c selftests/unit/pci_fake_vm.c \
	selftests/unit/unit_test.c selftests/unit/unit_log.c vmm-user/chipset/pci.c \
	vmm-user/chipset/pci_dev.c vmm-user/chipset/pci_msix.c virtio-backends/state.c virtio-backends/util/log.c virtio-backends/util/err.c
pci_test_LIBS := -lz -lpthread
