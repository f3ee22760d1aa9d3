// SPDX-License-Identifier: GPL-2.0-or-later
/* A PCI function's configuration space and BARs; see pci.h. */
#include "pci_internal.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#define PCI_COMMAND_WRITABLE	(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | \
				 PCI_COMMAND_INTX_DISABLE)
#define PCI_FIRST_CAP		0x40
#define BAR_MEM_MIN		4096u	/* a smaller one would share a page with another device */
#define BAR_MEM32_MAX		(1ULL << 31)
#define BAR_MEM64_MAX		(1ULL << 40)
#define BAR_IO_MIN		4u
#define BAR_IO_MAX		256u

static void put16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static unsigned int bar_reg(unsigned int bar)
{
	return PCI_BASE_ADDRESS_0 + 4 * bar;
}

/* ---- Describing a function ---- */

void pci_dev_init(struct pci_dev *d, const char *name, const struct pci_dev_ops *ops,
		  uint16_t vendor, uint16_t device, uint8_t revision, uint32_t class)
{
	d->name = name;
	d->ops = ops;
	put16(&d->config[PCI_VENDOR_ID], vendor);
	put16(&d->config[PCI_DEVICE_ID], device);
	put32(&d->config[PCI_CLASS_REVISION], class << 8 | revision);
	d->config[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_NORMAL;
	put16(&d->wmask[PCI_COMMAND], PCI_COMMAND_WRITABLE);
	d->wmask[PCI_CACHE_LINE_SIZE] = 0xff;
	d->wmask[PCI_INTERRUPT_LINE] = 0xff;
	d->cap_next = PCI_FIRST_CAP;
	atomic_init(&d->intx_disabled, false);
	atomic_init(&d->bus_master, false);
}

void pci_dev_set_subsystem(struct pci_dev *d, uint16_t vendor, uint16_t id)
{
	put16(&d->config[PCI_SUBSYSTEM_VENDOR_ID], vendor);
	put16(&d->config[PCI_SUBSYSTEM_ID], id);
}

int pci_dev_add_cap(struct pci_dev *d, uint8_t id, unsigned int len)
{
	unsigned int at = d->cap_next;
	unsigned int link = d->cap_last ? d->cap_last + PCI_CAP_LIST_NEXT : PCI_CAPABILITY_LIST;

	if (len < 2 || len > PCI_CONFIG_SIZE - at)
		return -ENOSPC;
	d->config[at + PCI_CAP_LIST_ID] = id;
	d->config[link] = (uint8_t)at;
	d->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	d->cap_last = at;
	d->cap_next = (at + len + 3) & ~3u;
	return (int)at;
}

int pci_dev_set_bar(struct pci_dev *d, unsigned int bar, enum pci_bar_kind kind, bool prefetch,
		    uint64_t size, const struct bus_ops *ops, void *opaque)
{
	bool io = kind == PCI_BAR_IO;
	bool wide = kind == PCI_BAR_MEM64;
	uint64_t min = io ? BAR_IO_MIN : BAR_MEM_MIN;
	uint64_t max = io ? BAR_IO_MAX : wide ? BAR_MEM64_MAX : BAR_MEM32_MAX;
	uint8_t flags = 0;
	uint64_t mask;

	if (kind == PCI_BAR_NONE || bar + wide >= PCI_BARS || size < min || size > max ||
	    (size & (size - 1)) || d->bar[bar].kind || (wide && d->bar[bar + 1].kind))
		return -EINVAL;
	d->bar[bar] = (struct pci_bar){ .kind = kind, .prefetch = prefetch, .size = size,
					.ops = ops, .opaque = opaque };
	if (io)
		flags = PCI_BASE_ADDRESS_SPACE_IO;
	if (wide)
		flags |= PCI_BASE_ADDRESS_MEM_TYPE_64;
	if (prefetch && !io)
		flags |= PCI_BASE_ADDRESS_MEM_PREFETCH;
	d->config[bar_reg(bar)] = flags;
	mask = ~(size - 1);
	put32(&d->wmask[bar_reg(bar)], (uint32_t)mask);
	if (wide)
		put32(&d->wmask[bar_reg(bar) + 4], (uint32_t)(mask >> 32));
	return 0;
}

/* ---- BARs ---- */

static uint64_t bar_address(const struct pci_dev *d, unsigned int bar)
{
	uint64_t v = get32(&d->config[bar_reg(bar)]);

	if (d->bar[bar].kind == PCI_BAR_MEM64)
		v |= (uint64_t)get32(&d->config[bar_reg(bar) + 4]) << 32;
	return v & ~(d->bar[bar].size - 1);
}

void pci_dev_layout(const struct pci_dev *d, struct pci_layout *layout)
{
	for (unsigned int i = 0; i < PCI_BARS; i++) {
		uint64_t base, end;

		if (d->bar[i].kind != PCI_BAR_MEM64)
			continue;
		base = bar_address(d, i);
		end = base + d->bar[i].size;
		/* All ones is what sizing leaves for a moment. */
		if (base < 1ULL << 32 || end < base)
			continue;
		if (layout->mem64_start == layout->mem64_end || base < layout->mem64_start)
			layout->mem64_start = base;
		if (end > layout->mem64_end)
			layout->mem64_end = end;
	}
}

static bool window_take(uint64_t *next, uint64_t end, uint64_t size, uint64_t *base)
{
	uint64_t at = (*next + size - 1) & ~(size - 1);

	if (at < *next || at >= end || size > end - at)
		return false;
	*base = at;
	*next = at + size;
	return true;
}

/* Choose an address as firmware would, of which a directly booted kernel has none. */
static int pci_assign_bar(struct pci_dev *d, unsigned int bar)
{
	struct pci_host *host = d->host;
	const struct pci_host_config *cfg = &host->cfg;
	const struct pci_bar *b = &d->bar[bar];
	uint8_t *reg = &d->config[bar_reg(bar)];
	uint64_t base;
	bool ok = false;

	if (b->kind == PCI_BAR_IO)
		ok = window_take(&host->pio_next, PCI_PIO_END, b->size, &base);
	else if (b->kind == PCI_BAR_MEM64 && cfg->mmio64_base)
		ok = window_take(&host->mmio64_next, cfg->mmio64_base + cfg->mmio64_size, b->size,
				 &base);
	if (!ok && b->kind != PCI_BAR_IO)
		ok = window_take(&host->mmio_next, cfg->mmio_base + cfg->mmio_size, b->size, &base);
	if (!ok)
		return -ENOSPC;
	put32(reg, (uint32_t)base | (get32(reg) & 0xf));
	if (b->kind == PCI_BAR_MEM64)
		put32(reg + 4, (uint32_t)(base >> 32));
	return 0;
}

int pci_dev_assign_bars(struct pci_dev *d)
{
	for (unsigned int i = 0; i < PCI_BARS; i++)
		if (d->bar[i].kind && pci_assign_bar(d, i))
			return -ENOSPC;
	return 0;
}

static void bar_unmap(struct pci_dev *d, unsigned int i)
{
	struct pci_bar *b = &d->bar[i];

	if (!b->range)
		return;
	if (d->ops->bar_mapped)
		d->ops->bar_mapped(d, i, b->base, false);
	bus_remove(b->kind == PCI_BAR_IO ? d->host->cfg.pio : d->host->cfg.mmio, b->range);
	b->range = NULL;
}

/*
 * Let the BAR answer where configuration space says. An address that another device or RAM's
 * neighbour already answers (bus_add fails) leaves the BAR unmapped: reads give all ones, as where
 * the guest put it nothing can work anyway.
 */
static void bar_map(struct pci_dev *d, unsigned int i, uint64_t base)
{
	struct pci_bar *b = &d->bar[i];
	struct bus *bus = b->kind == PCI_BAR_IO ? d->host->cfg.pio : d->host->cfg.mmio;

	if (b->kind == PCI_BAR_IO && base + b->size > 0x10000)
		return;
	if (bus_add(bus, base, b->size, b->ops, b->opaque, d->name, &b->range)) {
		b->range = NULL;
		return;
	}
	b->base = base;
	if (d->ops->bar_mapped)
		d->ops->bar_mapped(d, i, base, true);
}

static void pci_update_bars(struct pci_dev *d)
{
	uint16_t command = get16(&d->config[PCI_COMMAND]);

	for (unsigned int i = 0; i < PCI_BARS; i++) {
		struct pci_bar *b = &d->bar[i];
		uint16_t enable = b->kind == PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
		uint64_t base;

		if (!b->kind)
			continue;
		base = bar_address(d, i);
		if (b->range && (!(command & enable) || b->base != base))
			bar_unmap(d, i);
		if (!b->range && (command & enable))
			bar_map(d, i, base);
	}
}

void pci_dev_unmap_bars(struct pci_dev *d)
{
	for (unsigned int i = 0; i < PCI_BARS; i++)
		bar_unmap(d, i);
}

/* ---- Writes ---- */

static bool touches(unsigned int reg, unsigned int size, unsigned int from, unsigned int len)
{
	return reg < from + len && from < reg + size;
}

static void pci_apply_command(struct pci_dev *d)
{
	uint16_t command = get16(&d->config[PCI_COMMAND]);

	atomic_store(&d->bus_master, command & PCI_COMMAND_MASTER);
	atomic_store(&d->intx_disabled, command & PCI_COMMAND_INTX_DISABLE);
	pci_intx_update(d);
}

void pci_dev_config_write(struct pci_dev *d, unsigned int reg, unsigned int size, uint32_t value)
{
	for (unsigned int i = 0; i < size; i++) {
		uint8_t v = (uint8_t)(value >> (8 * i));
		uint8_t wmask = d->wmask[reg + i];
		uint8_t *p = &d->config[reg + i];

		*p = (*p & ~wmask) | (v & wmask);
		*p &= ~(v & d->w1cmask[reg + i]);
	}
	if (touches(reg, size, PCI_COMMAND, 2)) {
		pci_apply_command(d);
		pci_update_bars(d);
	} else if (touches(reg, size, PCI_BASE_ADDRESS_0, 4 * PCI_BARS)) {
		pci_update_bars(d);
	}
	if (d->msix) {
		pci_msix_config_written(d);
		pci_intx_update(d);
	}
	if (d->ops->config_written)
		d->ops->config_written(d, reg, size);
}

static void pci_tell_command(struct pci_dev *d)
{
	if (d->ops->config_written)
		d->ops->config_written(d, PCI_COMMAND, 2);
}

void pci_dev_reset(struct pci_dev *d)
{
	pci_dev_unmap_bars(d);
	if (d->ops->reset)
		d->ops->reset(d);
	memcpy(d->config, d->initial, sizeof(d->config));
	if (d->msix)
		pci_msix_reset(d);
	pci_apply_command(d);
	pci_intx_set(d, false);
	pci_tell_command(d);
}

/* After pci_dev_reset(). */
void pci_dev_restore_config(struct pci_dev *d, const uint8_t *config)
{
	for (unsigned int i = 0; i < PCI_CONFIG_SIZE; i++)
		d->config[i] = (d->initial[i] & ~d->wmask[i]) | (config[i] & d->wmask[i]);
	if (d->msix)
		pci_msix_config_written(d);
	pci_apply_command(d);
	pci_update_bars(d);
	pci_tell_command(d);
}
