// SPDX-License-Identifier: GPL-2.0-or-later
/* The chipset as firmware sees it; see q35.h. */
#include "q35.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/layout.h"

#define INTEL			0x8086
#define BRIDGE_Q35		0x29c0
#define BRIDGE_CLASS		0x060000
#define LPC_ICH9		0x2918
#define LPC_REVISION		2
#define LPC_CLASS		0x060100
#define LPC_SLOT		31

/* SeaBIOS only looks for fw_cfg behind a bridge with these ids of its subsystem. */
#define SUBSYSTEM_VENDOR	0x1af4
#define SUBSYSTEM_QEMU		0x1100

/* Host bridge: 5.1.15 PCIEXBAR, 5.1.18 to 5.1.24 PAM0 to PAM6, 5.1.31 SMRAM. */
#define PCIEXBAR		0x60
#define PCIEXBAR_ENABLE		1u
#define PCIEXBAR_LOW		0xf0000007u	/* 256 MiB; the length field is kept only */
#define PCIEXBAR_BASE		0xf0000000u
#define PAM0			0x90
#define PAM_COUNT		7
#define PAM_RAM			0x33	/* read and write go to RAM, in both halves */
#define PAM0_RAM		0x30
#define SMRAM			0x9d

/* LPC: 13.1.13 PMBASE, 13.1.14 ACPI_CNTL, 13.1.17 and .19 PIRQ routes, 13.8.1.1, 13.1.35 RCBA. */
#define PMBASE			0x40
#define PMBASE_IO		1u
#define ACPI_CNTL		0x44
#define ACPI_CNTL_ENABLE	0x80
#define PIRQ_A			0x60
#define PIRQ_E			0x68
#define PIRQ_NONE		0x80
#define GEN_PMCON_1		0xa0
#define RCBA			0xf0
#define RCBA_WRITABLE		0xffffc001u

/* 13.8.3.9 SMI_EN. Firmware takes this bit for "somebody has set up SMM already". */
#define SMI_EN_LEN		8
#define SMI_EN_APMC		(1u << 5)

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

/* ---- Host bridge ---- */

static bool overlaps(unsigned int off, unsigned int len, unsigned int reg, unsigned int reg_len)
{
	return off < reg + reg_len && reg < off + len;
}

/* The register's upper half must be 0: above 4 GiB nobody looks for it. */
static void bridge_written(struct pci_dev *d, unsigned int off, unsigned int len)
{
	uint32_t low = get32(&d->config[PCIEXBAR]);
	bool on = (low & PCIEXBAR_ENABLE) && !get32(&d->config[PCIEXBAR + 4]) &&
		  (low & PCIEXBAR_BASE) >= HVM_HOLE_START;

	/* The command register stands for a reset or a load. */
	if (overlaps(off, len, PCIEXBAR, 8) || overlaps(off, len, PCI_COMMAND, 2))
		pci_host_move_ecam(d->host, on ? low & PCIEXBAR_BASE : 0);
}

static void dev_free(struct pci_dev *d)
{
	free(d);
}

static const struct pci_dev_ops bridge_ops = {
	.config_written = bridge_written,
	.destroy = dev_free,
};

struct pci_dev *hvm_q35_bridge_create(struct hv_err *err)
{
	struct pci_dev *d = calloc(1, sizeof(*d));

	if (!d) {
		hv_err_set(err, -ENOMEM, "Q35: out of memory");
		return NULL;
	}
	pci_dev_init(d, "q35", &bridge_ops, INTEL, BRIDGE_Q35, 0, BRIDGE_CLASS);
	pci_dev_set_subsystem(d, SUBSYSTEM_VENDOR, SUBSYSTEM_QEMU);
	put32(&d->wmask[PCIEXBAR], PCIEXBAR_LOW);
	put32(&d->wmask[PCIEXBAR + 4], 0xf);
	memset(&d->config[PAM0], PAM_RAM, PAM_COUNT);
	memset(&d->wmask[PAM0], PAM_RAM, PAM_COUNT);
	d->config[PAM0] = d->wmask[PAM0] = PAM0_RAM;
	d->wmask[SMRAM] = 0x7f;
	return d;
}

/* ---- LPC bridge ---- */

struct lpc {
	struct pci_dev dev;	/* first */
	struct bus *pio;
	struct bus_range *smi;
};

static uint64_t smi_read(void *opaque, uint64_t off, unsigned int size)
{
	return off < 4 ? SMI_EN_APMC >> (8 * off) : 0;
}

static const struct bus_ops smi_ops = { .read = smi_read };

static void lpc_destroy(struct pci_dev *d)
{
	struct lpc *lpc = (struct lpc *)d;

	bus_remove(lpc->pio, lpc->smi);
	free(lpc);
}

static const struct pci_dev_ops lpc_ops = { .destroy = lpc_destroy };

int hvm_q35_lpc_add(struct pci_host *host, struct bus *pio, struct hv_err *err)
{
	struct lpc *lpc = calloc(1, sizeof(*lpc));
	struct pci_dev *d;
	int ret;

	if (!lpc)
		return hv_err_set(err, -ENOMEM, "ICH9: out of memory");
	d = &lpc->dev;
	lpc->pio = pio;
	pci_dev_init(d, "ich9-lpc", &lpc_ops, INTEL, LPC_ICH9, LPC_REVISION, LPC_CLASS);
	pci_dev_set_subsystem(d, SUBSYSTEM_VENDOR, SUBSYSTEM_QEMU);
	put32(&d->config[PMBASE], HVM_PORT_PM | PMBASE_IO);
	d->config[ACPI_CNTL] = ACPI_CNTL_ENABLE;
	memset(&d->config[PIRQ_A], PIRQ_NONE, 4);
	memset(&d->wmask[PIRQ_A], 0xff, 4);
	memset(&d->config[PIRQ_E], PIRQ_NONE, 4);
	memset(&d->wmask[PIRQ_E], 0xff, 4);
	memset(&d->wmask[GEN_PMCON_1], 0xff, 2);
	put32(&d->wmask[RCBA], RCBA_WRITABLE);
	ret = bus_add(pio, HVM_PORT_SMI, SMI_EN_LEN, &smi_ops, NULL, "smi", &lpc->smi);
	if (ret)
		hv_err_set(err, ret, "ICH9: ports: %s", strerror(-ret));
	else
		ret = pci_dev_add(host, d, LPC_SLOT, err);
	if (ret)
		lpc_destroy(d);
	return ret;
}
