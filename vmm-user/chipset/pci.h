/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_PCI_H
#define HVM_PCI_H

#include <stdbool.h>
#include <stdint.h>

#include "../bus.h"
#include "../irq.h"

/*
 * The PCI host: configuration space through ports 0xcf8/0xcfc and through ECAM, BAR placement on
 * the buses, MSI-X. One segment, bus 0 (bridges come with hot-plug).
 */
struct pci_host;
struct pci_dev;

struct pci_host_config {
	struct hvm_vm *vm;
	struct bus *pio, *mmio;
	uint64_t ecam_base;	/* 1 MiB per bus; bus 0 only: 1 MiB */
	uint64_t mmio_base;	/* window below 4 GiB from which BARs are assigned at start */
	uint64_t mmio_size;
	uint64_t mmio64_base;	/* window above RAM for 64-bit BARs; 0: none */
	uint64_t mmio64_size;
};

int pci_host_create(const struct pci_host_config *cfg, struct pci_host **host, struct hv_err *err);
void pci_host_destroy(struct pci_host *host);
/* System reset: every function back to its power-on state. */
void pci_host_reset(struct pci_host *host);

#endif
