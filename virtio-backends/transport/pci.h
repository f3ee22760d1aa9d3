/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VIRTIO_PCI_H
#define HV_VIRTIO_PCI_H

#include "../../vmm-user/chipset/pci.h"
#include "../virtio.h"

/*
 * Virtio over PCI (virtio 1.2, 4.1), non-transitional, with MSI-X and INTx.
 */
struct virtio_pci_config {
	struct pci_host *host;
	struct hvm_vm *vm;
	const struct guest_mem *mem;
	struct virtio_dev *dev;	/* owned by the PCI function from a successful return on */
	int slot;		/* 1..31, or -1: the lowest free one */
};

/*
 * Put the device on the bus; pci_host_destroy() destroys it. Returns the function (which belongs to
 * the host) in @pdev, which may be NULL, or -errno: the device then still belongs to the caller.
 */
int virtio_pci_create(const struct virtio_pci_config *cfg, struct pci_dev **pdev,
		      struct hv_err *err);

#endif
