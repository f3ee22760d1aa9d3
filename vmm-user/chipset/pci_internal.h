/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_PCI_INTERNAL_H
#define HVM_PCI_INTERNAL_H

#include <pthread.h>

#include "pci.h"

/* What pci.c and pci_dev.c share. */

#define PCI_SLOTS	32
/* I/O BARs are assigned from here; the DSDT's _CRS leaves ports from 0xd00 on to PCI. */
#define PCI_PIO_BASE	0xc000
#define PCI_PIO_END	0x10000

/* Places where ECAM can be: multiples of 256 MiB below 4 GiB. */
#define PCI_ECAM_SHIFT	28
#define PCI_ECAM_PLACES	16

struct pci_host;

struct pci_ecam {
	struct pci_host *host;
	uint64_t base;
	struct bus_range *range;	/* NULL: never used since the last reset */
};

struct pci_host {
	struct pci_host_config cfg;
	struct bus_range *ports;
	/*
	 * A place once used keeps its range until the next reset: a move cannot wait for handlers
	 * of the old range, which wait for the lock.
	 */
	struct pci_ecam ecam[PCI_ECAM_PLACES];
	uint64_t ecam_base;	/* the place that answers, 0: none; lock */

	pthread_mutex_t lock;	/* configuration space of all functions, and the fields below */
	uint32_t config_address;
	struct pci_dev *slot[PCI_SLOTS];
	uint64_t mmio_next, mmio64_next, pio_next;	/* where BARs are assigned next */

	pthread_mutex_t intx_lock;	/* innermost */
	unsigned int intx_users[4];	/* functions that assert each line */
};

/* All with host->lock held. */
int pci_dev_assign_bars(struct pci_dev *d);
/* Widen [mem64_start, mem64_end) of @layout to the function's BARs above 4 GiB. */
void pci_dev_layout(const struct pci_dev *d, struct pci_layout *layout);
void pci_dev_unmap_bars(struct pci_dev *d);
void pci_dev_config_write(struct pci_dev *d, unsigned int reg, unsigned int size, uint32_t value);
void pci_dev_reset(struct pci_dev *d);
void pci_dev_restore_config(struct pci_dev *d, const uint8_t *config);
/* Recompute INTA# after a change of what masks it. Any thread. */
void pci_intx_update(struct pci_dev *d);

#endif
