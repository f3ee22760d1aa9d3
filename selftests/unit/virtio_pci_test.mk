# SPDX-License-Identifier: GPL-2.0-or-later
UNIT_TESTS += virtio_pci_test
virtio_pci_test_SRCS := selftests/unit/virtio_pci_test.c selftests/unit/pci_fake_vm.c \
	selftests/unit/unit_test.c selftests/unit/unit_log.c \
	selftests/unit/virtio_driver.c vmm-user/chipset/pci.c vmm-user/chipset/pci_dev.c \
	vmm-user/chipset/pci_msix.c virtio-backends/transport/pci.c virtio-backends/virtq.c virtio-backends/virtq_track.c \
	virtio-backends/virtio.c virtio-backends/state.c virtio-backends/util/log.c \
	virtio-backends/util/err.c
virtio_pci_test_LIBS := -lz -lpthread
