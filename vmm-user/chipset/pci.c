// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The PCI host: slots, access to configuration space, interrupt pins; see pci.h. Functions
 * themselves are in pci_dev.c, MSI-X in pci_msix.c.
 */
#include "pci_internal.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ports of configuration mechanism 1 (PCI 3.0, 3.2.2.3.2). */
#define PCI_PORTS		0xcf8
#define PCI_PORTS_LEN		8
#define PCI_PORT_RESET		1	/* 0xcf9: not ours, see cf9_ops */
#define PCI_PORT_DATA		4
#define CONFIG_ADDRESS_ENABLE	0x80000000u
#define CONFIG_ADDRESS_BITS	0x80fffffcu

#define ECAM_BUS_LEN		0x100000ULL
#define ECAM_FUNCTION_SHIFT	12

/*
 * The bridge's ids: those of the generic ECAM host bridge in the range that Red Hat gives to
 * virtual machines. It has no registers, and systems match it by its class.
 */
#define BRIDGE_VENDOR		0x1b36
#define BRIDGE_DEVICE		0x0008
#define BRIDGE_CLASS		0x060000

#define PCI_STATE_VERSION	1

/* ---- Configuration space ---- */

static uint32_t all_ones(unsigned int size)
{
	return size == 4 ? 0xffffffffu : (1u << (8 * size)) - 1;
}

static uint32_t pci_config_read(struct pci_host *host, unsigned int devfn, unsigned int reg,
				unsigned int size)
{
	struct pci_dev *d = devfn & 7 ? NULL : host->slot[devfn >> 3];
	uint32_t v = 0;

	/* Behind a conventional function's 256 bytes there is nothing. */
	if (!d || reg >= PCI_CONFIG_SIZE || size > PCI_CONFIG_SIZE - reg)
		return all_ones(size);
	if (d->ops->config_reading)
		d->ops->config_reading(d, reg, size);
	memcpy(&v, &d->config[reg], size);
	return v;
}

static void pci_config_write(struct pci_host *host, unsigned int devfn, unsigned int reg,
			     unsigned int size, uint32_t value)
{
	struct pci_dev *d = devfn & 7 ? NULL : host->slot[devfn >> 3];

	if (!d || reg >= PCI_CONFIG_SIZE || size > PCI_CONFIG_SIZE - reg)
		return;
	pci_dev_config_write(d, reg, size, value);
}

static uint64_t pci_ports_read(void *opaque, uint64_t off, unsigned int size)
{
	struct pci_host *host = opaque;
	uint32_t address, v = all_ones(size);

	if (off == PCI_PORT_RESET && size == 1) {
		const struct bus_ops *cf9 = host->cfg.cf9_ops;

		return cf9 && cf9->read ? cf9->read(host->cfg.cf9_opaque, 0, 1) : v;
	}
	if (off + size > PCI_PORTS_LEN)
		return v;
	pthread_mutex_lock(&host->lock);
	address = host->config_address;
	if (off == 0 && size == 4)
		v = address;
	else if (off >= PCI_PORT_DATA && (address & CONFIG_ADDRESS_ENABLE) &&
		 !(address & 0x00ff0000))
		v = pci_config_read(host, (address >> 8) & 0xff,
				    (address & 0xfc) + (off - PCI_PORT_DATA), size);
	pthread_mutex_unlock(&host->lock);
	return v;
}

static void pci_ports_write(void *opaque, uint64_t off, unsigned int size, uint64_t value)
{
	struct pci_host *host = opaque;
	uint32_t address;

	if (off == PCI_PORT_RESET && size == 1) {
		const struct bus_ops *cf9 = host->cfg.cf9_ops;

		if (cf9 && cf9->write)
			cf9->write(host->cfg.cf9_opaque, 0, 1, value);
		return;
	}
	if (off + size > PCI_PORTS_LEN)
		return;
	pthread_mutex_lock(&host->lock);
	address = host->config_address;
	if (off == 0 && size == 4)
		host->config_address = (uint32_t)value & CONFIG_ADDRESS_BITS;
	else if (off >= PCI_PORT_DATA && (address & CONFIG_ADDRESS_ENABLE) &&
		 !(address & 0x00ff0000))
		pci_config_write(host, (address >> 8) & 0xff,
				 (address & 0xfc) + (off - PCI_PORT_DATA), size, (uint32_t)value);
	pthread_mutex_unlock(&host->lock);
}

static uint64_t pci_ecam_read(void *opaque, uint64_t off, unsigned int size)
{
	struct pci_ecam *ecam = opaque;
	struct pci_host *host = ecam->host;
	uint64_t v = ~0ULL;

	if (size > 4 || (off & (size - 1)))	/* may be refused (PCIe 4.0, 7.2.2) */
		return v;
	pthread_mutex_lock(&host->lock);
	if (ecam->base == host->ecam_base)
		v = pci_config_read(host, (off >> ECAM_FUNCTION_SHIFT) & 0xff, off & 0xfff, size);
	pthread_mutex_unlock(&host->lock);
	return v;
}

static void pci_ecam_write(void *opaque, uint64_t off, unsigned int size, uint64_t value)
{
	struct pci_ecam *ecam = opaque;
	struct pci_host *host = ecam->host;

	if (size > 4 || (off & (size - 1)))
		return;
	pthread_mutex_lock(&host->lock);
	if (ecam->base == host->ecam_base)
		pci_config_write(host, (off >> ECAM_FUNCTION_SHIFT) & 0xff, off & 0xfff, size,
				 (uint32_t)value);
	pthread_mutex_unlock(&host->lock);
}

static const struct bus_ops pci_ports_ops = { .read = pci_ports_read, .write = pci_ports_write };
static const struct bus_ops pci_ecam_ops = { .read = pci_ecam_read, .write = pci_ecam_write };

/* ---- Where ECAM is ---- */

static int ecam_add(struct pci_host *host, uint64_t base)
{
	struct pci_ecam *ecam = &host->ecam[base >> PCI_ECAM_SHIFT];
	int ret = 0;

	if (!ecam->range) {
		ecam->host = host;
		ecam->base = base;
		ret = bus_add(host->cfg.mmio, base, ECAM_BUS_LEN, &pci_ecam_ops, ecam, "pci-ecam",
			      &ecam->range);
	}
	if (!ret)
		host->ecam_base = base;
	return ret;
}

void pci_host_move_ecam(struct pci_host *host, uint64_t base)
{
	/* Where a BAR answers already there is no ECAM, as for a BAR in such a place. */
	if (!base || base % (1ULL << PCI_ECAM_SHIFT) || base >> 32 || ecam_add(host, base))
		host->ecam_base = 0;
}

/* No handler runs: the VM is paused, or ends. */
static void ecam_remove_all(struct pci_host *host)
{
	for (unsigned int i = 0; i < PCI_ECAM_PLACES; i++) {
		if (host->ecam[i].range)
			bus_remove(host->cfg.mmio, host->ecam[i].range);
		host->ecam[i].range = NULL;
	}
	host->ecam_base = 0;
}

void pci_host_layout(struct pci_host *host, struct pci_layout *layout)
{
	*layout = (struct pci_layout){ 0 };
	pthread_mutex_lock(&host->lock);
	layout->ecam_base = host->ecam_base;
	for (int i = 0; i < PCI_SLOTS; i++)
		if (host->slot[i])
			pci_dev_layout(host->slot[i], layout);
	pthread_mutex_unlock(&host->lock);
}

/* ---- Interrupt pins ---- */

void pci_intx_update(struct pci_dev *d)
{
	struct pci_host *host = d->host;
	unsigned int pin, users;
	bool level;

	/* The lock is held over the system call, too: levels must arrive in order. */
	pthread_mutex_lock(&host->intx_lock);
	level = d->intx_wanted && !atomic_load(&d->intx_disabled) && !pci_msix_enabled(d);
	if (level == d->intx_asserted)
		goto out;
	d->intx_asserted = level;
	pin = d->slot % 4;
	users = host->intx_users[pin];
	host->intx_users[pin] = level ? users + 1 : users - 1;
	if (!users || !host->intx_users[pin])
		hvm_irq_line(host->cfg.vm, host->cfg.intx_gsi[pin], level);
out:
	pthread_mutex_unlock(&host->intx_lock);
}

void pci_intx_set(struct pci_dev *d, bool level)
{
	pthread_mutex_lock(&d->host->intx_lock);
	d->intx_wanted = level;
	pthread_mutex_unlock(&d->host->intx_lock);
	pci_intx_update(d);
}

/* ---- Slots ---- */

static int pci_pick_slot(struct pci_host *host, int slot)
{
	if (slot >= 0)
		return slot < PCI_SLOTS && !host->slot[slot] ? slot : -EEXIST;
	for (int i = 1; i < PCI_SLOTS; i++)
		if (!host->slot[i])
			return i;
	return -ENOSPC;
}

int pci_dev_add(struct pci_host *host, struct pci_dev *d, int slot, struct hv_err *err)
{
	int ret;

	pthread_mutex_lock(&host->lock);
	ret = pci_pick_slot(host, slot);
	if (ret < 0) {
		hv_err_set(err, ret, "no PCI slot for %s: %s", d->name,
			   ret == -EEXIST ? "it is taken" : "all are taken");
		goto out;
	}
	d->host = host;
	d->slot = (unsigned int)ret;
	if (pci_dev_assign_bars(d)) {
		ret = hv_err_set(err, -ENOSPC, "no room for %s in the PCI windows", d->name);
		d->host = NULL;
		goto out;
	}
	d->intx_gsi = host->cfg.intx_gsi[d->slot % 4];
	if (d->config[PCI_INTERRUPT_PIN])
		d->config[PCI_INTERRUPT_LINE] = (uint8_t)d->intx_gsi;
	memcpy(d->initial, d->config, sizeof(d->initial));
	host->slot[d->slot] = d;
	ret = 0;
out:
	pthread_mutex_unlock(&host->lock);
	return ret;
}

void pci_host_for_each(struct pci_host *host, void (*fn)(struct pci_dev *d, void *opaque),
		       void *opaque)
{
	pthread_mutex_lock(&host->lock);
	for (int i = 0; i < PCI_SLOTS; i++)
		if (host->slot[i])
			fn(host->slot[i], opaque);
	pthread_mutex_unlock(&host->lock);
}

/* ---- The bridge and the host's life ---- */

static void bridge_destroy(struct pci_dev *d)
{
	free(d);
}

static const struct pci_dev_ops bridge_ops = { .destroy = bridge_destroy };

static int pci_add_bridge(struct pci_host *host, struct hv_err *err)
{
	struct pci_dev *d = host->cfg.bridge;
	int ret;

	if (!d) {
		d = calloc(1, sizeof(*d));
		if (!d)
			return hv_err_set(err, -ENOMEM, "PCI host bridge: out of memory");
		pci_dev_init(d, "host-bridge", &bridge_ops, BRIDGE_VENDOR, BRIDGE_DEVICE, 0,
			     BRIDGE_CLASS);
	}
	ret = pci_dev_add(host, d, 0, err);
	if (ret && d != host->cfg.bridge)
		free(d);
	return ret;
}

static bool window_ok(uint64_t base, uint64_t size)
{
	return size && !(base & 0xfff) && base + (size - 1) >= base;
}

static int pci_check_config(const struct pci_host_config *cfg, struct hv_err *err)
{
	if (!window_ok(cfg->mmio_base, cfg->mmio_size) ||
	    cfg->mmio_base + cfg->mmio_size > (1ULL << 32))
		return hv_err_set(err, -EINVAL, "PCI window 0x%llx, 0x%llx bytes is not below 4 GiB",
				  (unsigned long long)cfg->mmio_base,
				  (unsigned long long)cfg->mmio_size);
	if (cfg->ecam_base % (1ULL << PCI_ECAM_SHIFT) || cfg->ecam_base >> 32)
		return hv_err_set(err, -EINVAL, "PCI ECAM at 0x%llx is impossible",
				  (unsigned long long)cfg->ecam_base);
	if (cfg->mmio64_base && !window_ok(cfg->mmio64_base, cfg->mmio64_size))
		return hv_err_set(err, -EINVAL, "PCI window 0x%llx, 0x%llx bytes is impossible",
				  (unsigned long long)cfg->mmio64_base,
				  (unsigned long long)cfg->mmio64_size);
	return 0;
}

int pci_host_create(const struct pci_host_config *cfg, struct pci_host **res, struct hv_err *err)
{
	struct pci_host *host;
	int ret = pci_check_config(cfg, err);

	if (ret)
		return ret;
	host = calloc(1, sizeof(*host));
	if (!host)
		return hv_err_set(err, -ENOMEM, "PCI host: out of memory");
	host->cfg = *cfg;
	host->mmio_next = cfg->mmio_base;
	host->mmio64_next = cfg->mmio64_base;
	host->pio_next = PCI_PIO_BASE;
	pthread_mutex_init(&host->lock, NULL);
	pthread_mutex_init(&host->intx_lock, NULL);
	ret = bus_add(cfg->pio, PCI_PORTS, PCI_PORTS_LEN, &pci_ports_ops, host, "pci-ports",
		      &host->ports);
	if (ret) {
		hv_err_set(err, ret, "PCI host: ports 0xcf8-0xcff: %s", strerror(-ret));
		goto fail;
	}
	ret = cfg->ecam_base ? ecam_add(host, cfg->ecam_base) : 0;
	if (ret) {
		hv_err_set(err, ret, "PCI host: ECAM at 0x%llx: %s",
			   (unsigned long long)cfg->ecam_base, strerror(-ret));
		goto fail;
	}
	ret = pci_add_bridge(host, err);
	if (ret)
		goto fail;
	*res = host;
	return 0;
fail:
	pci_host_destroy(host);	/* has no bridge yet */
	return ret;
}

void pci_host_destroy(struct pci_host *host)
{
	if (!host)
		return;
	/* No access reaches a function any more once these are gone. */
	ecam_remove_all(host);
	if (host->ports)
		bus_remove(host->cfg.pio, host->ports);
	for (int i = PCI_SLOTS - 1; i >= 0; i--) {
		struct pci_dev *d = host->slot[i];

		if (!d)
			continue;
		pci_dev_unmap_bars(d);
		host->slot[i] = NULL;
		d->ops->destroy(d);
	}
	pthread_mutex_destroy(&host->intx_lock);
	pthread_mutex_destroy(&host->lock);
	free(host);
}

void pci_host_reset(struct pci_host *host)
{
	pthread_mutex_lock(&host->lock);
	host->config_address = 0;
	if (!host->cfg.ecam_base)
		ecam_remove_all(host);
	for (int i = 0; i < PCI_SLOTS; i++)
		if (host->slot[i])
			pci_dev_reset(host->slot[i]);
	pthread_mutex_unlock(&host->lock);
}

/* ---- State ---- */

static void pci_dev_save(struct pci_dev *d, struct hv_state_writer *w)
{
	hv_state_begin(w, "pci-function", PCI_STATE_VERSION);
	hv_state_put_u8(w, (uint8_t)d->slot);
	hv_state_put(w, d->config, sizeof(d->config));
	hv_state_end(w);
	if (d->msix)
		pci_msix_save(d, w);
	if (d->ops->save)
		d->ops->save(d, w);
}

void pci_host_save(struct pci_host *host, struct hv_state_writer *w)
{
	pthread_mutex_lock(&host->lock);
	hv_state_begin(w, "pci-host", PCI_STATE_VERSION);
	hv_state_put_u32(w, host->config_address);
	hv_state_end(w);
	for (int i = 0; i < PCI_SLOTS; i++)
		if (host->slot[i])
			pci_dev_save(host->slot[i], w);
	pthread_mutex_unlock(&host->lock);
}

/* Only what a guest can write is taken over; the rest must be what it was. */
static int pci_dev_load(struct pci_dev *d, struct hv_state_reader *r, struct hv_err *err)
{
	uint8_t config[PCI_CONFIG_SIZE];
	int ret = hv_state_open(r, "pci-function", PCI_STATE_VERSION, err);
	unsigned int slot;

	if (ret < 0)
		return ret;
	slot = hv_state_get_u8(r);
	hv_state_get(r, config, sizeof(config));
	ret = hv_state_close(r, err);
	if (ret)
		return ret;
	if (slot != d->slot || memcmp(config, d->initial, PCI_COMMAND))
		return hv_err_set(err, -EINVAL, "PCI slot %u: the state is of another device",
				  d->slot);
	pci_dev_reset(d);
	if (d->msix)
		ret = pci_msix_load(d, r, err);
	if (!ret && d->ops->load)
		ret = d->ops->load(d, r, err);
	if (!ret)
		pci_dev_restore_config(d, config);
	return ret;
}

int pci_host_load(struct pci_host *host, struct hv_state_reader *r, struct hv_err *err)
{
	int ret;

	pthread_mutex_lock(&host->lock);
	ret = hv_state_open(r, "pci-host", PCI_STATE_VERSION, err);
	if (ret >= 0) {
		host->config_address = hv_state_get_u32(r) & CONFIG_ADDRESS_BITS;
		ret = hv_state_close(r, err);
	}
	for (int i = 0; i < PCI_SLOTS && !ret; i++)
		if (host->slot[i])
			ret = pci_dev_load(host->slot[i], r, err);
	pthread_mutex_unlock(&host->lock);
	return ret;
}
