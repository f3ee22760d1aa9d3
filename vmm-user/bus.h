/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_BUS_H
#define HVM_BUS_H

#include <stdint.h>

#include "../virtio-backends/util/err.h"

/*
 * The port and memory-mapped I/O buses: who answers at which address. A guest access comes from
 * any vCPU thread; ranges may be added and removed while the guest runs (BARs move), and remove
 * returns only when no handler of the range is running any more in another thread. Both may be
 * called from inside a handler of another range (a write to PCI configuration space moves a BAR).
 */
enum bus_kind { BUS_PIO, BUS_MMIO };

struct bus;
struct bus_range;

struct bus_ops {
	/* Return the value read; size is 1, 2, 4 or 8 (PIO: 1, 2, 4); offset is from the start. */
	uint64_t (*read)(void *opaque, uint64_t offset, unsigned int size);
	void (*write)(void *opaque, uint64_t offset, unsigned int size, uint64_t value);
};

struct bus *bus_create(enum bus_kind kind);
void bus_destroy(struct bus *bus);
/* -EEXIST if [base, base + len) overlaps another range, -EINVAL if it wraps or is empty. */
int bus_add(struct bus *bus, uint64_t base, uint64_t len, const struct bus_ops *ops, void *opaque,
	    const char *name, struct bus_range **range);
void bus_remove(struct bus *bus, struct bus_range *range);
/* An address nobody answers reads as all ones and ignores writes. */
uint64_t bus_read(struct bus *bus, uint64_t addr, unsigned int size);
void bus_write(struct bus *bus, uint64_t addr, unsigned int size, uint64_t value);

#endif
