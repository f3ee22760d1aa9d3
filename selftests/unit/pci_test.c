// SPDX-License-Identifier: GPL-2.0-or-later
/* The PCI host: access mechanisms, BAR sizing and relocation, pins, MSI-X, state. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>

#include "../../vmm-user/chipset/pci.h"
#include "pci_fake_vm.h"
#include "unit_log.h"
#include "unit_test.h"

#define ECAM		0xe0000000ULL
#define WINDOW		0xc0000000ULL
#define WINDOW_SIZE	0x10000000ULL
#define WINDOW64	0x800000000ULL
#define MSI_ADDR	0xfee00000ULL

static struct pci_host *host;
static struct bus *pio, *mmio;

/* A function with every kind of BAR. */
struct toy {
	struct pci_dev pci;
	uint64_t last_off, last_value;
	unsigned int maps, unmaps, resets;
};

static unsigned int destroyed;

static uint64_t toy_read(void *opaque, uint64_t off, unsigned int size)
{
	return 0x1122334455667700ULL + off;
}

static void toy_write(void *opaque, uint64_t off, unsigned int size, uint64_t value)
{
	struct toy *t = opaque;

	t->last_off = off;
	t->last_value = value;
}

static const struct bus_ops toy_bar_ops = { .read = toy_read, .write = toy_write };

static uint64_t msix_bar_read(void *opaque, uint64_t off, unsigned int size)
{
	struct toy *t = opaque;

	return off < 0x800 ? pci_msix_table_read(&t->pci, off, size) :
			     pci_msix_pba_read(&t->pci, off - 0x800, size);
}

static void msix_bar_write(void *opaque, uint64_t off, unsigned int size, uint64_t value)
{
	struct toy *t = opaque;

	if (off < 0x800)
		pci_msix_table_write(&t->pci, off, size, value);
}

static const struct bus_ops msix_bar_ops = { .read = msix_bar_read, .write = msix_bar_write };

static void toy_bar_mapped(struct pci_dev *d, unsigned int bar, uint64_t base, bool mapped)
{
	struct toy *t = (struct toy *)d;

	*(mapped ? &t->maps : &t->unmaps) += 1;
}

static void toy_reset(struct pci_dev *d)
{
	((struct toy *)d)->resets++;
}

static void toy_destroy(struct pci_dev *d)
{
	destroyed++;
	pci_msix_fini(d);
	free(d);
}

static const struct pci_dev_ops toy_ops = {
	.bar_mapped = toy_bar_mapped, .reset = toy_reset, .destroy = toy_destroy,
};

#define TOY_VECTORS 3

static struct toy *toy_add(int slot, int *ret)
{
	struct toy *t = calloc(1, sizeof(*t));
	struct hv_err err;

	pci_dev_init(&t->pci, "toy", &toy_ops, 0x1234, 0x5678, 3, 0xff0102);
	t->pci.config[PCI_INTERRUPT_PIN] = 1;
	CHECK_EQ(pci_dev_set_bar(&t->pci, 0, PCI_BAR_MEM64, true, 0x10000, &toy_bar_ops, t), 0);
	CHECK_EQ(pci_dev_set_bar(&t->pci, 2, PCI_BAR_MEM32, false, 0x1000, &msix_bar_ops, t), 0);
	CHECK_EQ(pci_dev_set_bar(&t->pci, 3, PCI_BAR_IO, false, 0x20, &toy_bar_ops, t), 0);
	CHECK_EQ(pci_msix_init(&t->pci, (struct hvm_vm *)&fake_vm, TOY_VECTORS, 2, 0, 0x800, &err),
		 0);
	*ret = pci_dev_add(host, &t->pci, slot, &err);
	if (*ret) {
		toy_destroy(&t->pci);
		return NULL;
	}
	return t;
}

static unsigned int cf9_written;

static void cf9_write(void *opaque, uint64_t off, unsigned int size, uint64_t value)
{
	CHECK_EQ(off, 0);
	CHECK_EQ(size, 1);
	cf9_written = (unsigned int)value;
}

static uint64_t cf9_read(void *opaque, uint64_t off, unsigned int size)
{
	return 0x5a;
}

static const struct bus_ops cf9_ops = { .read = cf9_read, .write = cf9_write };

static struct toy *toy;

static void set_up(void)
{
	struct pci_host_config cfg = {
		.vm = fake_vm_init(),
		.pio = pio = bus_create(BUS_PIO),
		.mmio = mmio = bus_create(BUS_MMIO),
		.ecam_base = ECAM,
		.mmio_base = WINDOW, .mmio_size = WINDOW_SIZE,
		.mmio64_base = WINDOW64, .mmio64_size = 0x100000000ULL,
		.intx_gsi = { 16, 17, 18, 19 },
		.cf9_ops = &cf9_ops,
	};
	struct hv_err err;
	int ret;

	destroyed = 0;
	CHECK_EQ(pci_host_create(&cfg, &host, &err), 0);
	toy = toy_add(-1, &ret);
	CHECK_EQ(ret, 0);
	pci_host_reset(host);
}

static void tear_down(void)
{
	pci_host_destroy(host);
	CHECK_EQ(fake_ranges(pio), 0);
	CHECK_EQ(fake_ranges(mmio), 0);
	for (unsigned int i = 0; i < FAKE_MAX; i++)
		CHECK(!fake_vm.route[i].used);
	bus_destroy(pio);
	bus_destroy(mmio);
}

static uint32_t ecam_read(unsigned int slot, unsigned int reg, unsigned int size)
{
	return (uint32_t)bus_read(mmio, ECAM + slot * 0x8000 + reg, size);
}

static void ecam_write(unsigned int slot, unsigned int reg, unsigned int size, uint32_t value)
{
	bus_write(mmio, ECAM + slot * 0x8000 + reg, size, value);
}

static uint32_t port_read(unsigned int slot, unsigned int reg, unsigned int size)
{
	bus_write(pio, 0xcf8, 4, 0x80000000 | slot << 11 | (reg & 0xfc));
	return (uint32_t)bus_read(pio, 0xcfc + (reg & 3), size);
}

static void port_write(unsigned int slot, unsigned int reg, unsigned int size, uint32_t value)
{
	bus_write(pio, 0xcf8, 4, 0x80000000 | slot << 11 | (reg & 0xfc));
	bus_write(pio, 0xcfc + (reg & 3), size, value);
}

static void test_header(void)
{
	set_up();
	CHECK_EQ(ecam_read(0, PCI_CLASS_DEVICE, 2), 0x0600);	/* a host bridge at 0 */
	CHECK_EQ(ecam_read(1, 0, 4), 0x56781234);
	CHECK_EQ(ecam_read(1, PCI_REVISION_ID, 4), 0xff010203);
	CHECK_EQ(ecam_read(1, PCI_HEADER_TYPE, 1), 0);
	CHECK(ecam_read(1, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	CHECK_EQ(ecam_read(1, PCI_INTERRUPT_LINE, 1), 17);
	/* Read-only stays. */
	ecam_write(1, 0, 4, 0xdeadbeef);
	ecam_write(1, PCI_CLASS_REVISION, 4, 0xdeadbeef);
	ecam_write(1, PCI_CAPABILITY_LIST, 1, 0x99);
	CHECK_EQ(ecam_read(1, 0, 4), 0x56781234);
	CHECK_EQ(ecam_read(1, PCI_REVISION_ID, 4), 0xff010203);
	CHECK_EQ(ecam_read(1, PCI_CAPABILITY_LIST, 1), 0x40);
	ecam_write(1, PCI_INTERRUPT_LINE, 1, 9);
	CHECK_EQ(ecam_read(1, PCI_INTERRUPT_LINE, 1), 9);
	tear_down();
}

static void test_nobody_there(void)
{
	set_up();
	CHECK_EQ(ecam_read(2, 0, 4), 0xffffffff);
	CHECK_EQ(ecam_read(2, 0, 1), 0xff);
	CHECK_EQ(bus_read(mmio, ECAM + 0x8000 + 0x1000, 4), 0xffffffff);	/* function 1 */
	CHECK_EQ(bus_read(mmio, ECAM + 0x8000 + 0x100, 4), 0xffffffff);	/* extended space */
	CHECK_EQ(bus_read(mmio, ECAM + 0x8000 + 0xfe, 4), 0xffffffff);	/* misaligned */
	CHECK_EQ(bus_read(mmio, ECAM + 0x8000 + 1, 2), 0xffff);
	CHECK_EQ(bus_read(mmio, ECAM + 0x8000, 8), ~0ULL);
	bus_write(mmio, ECAM + 0xfffff, 4, 0);
	bus_write(mmio, ECAM + 0xffffc, 4, 0);
	CHECK_EQ(port_read(2, 0, 4), 0xffffffff);
	bus_write(pio, 0xcf8, 4, 0x80010800);		/* bus 1 */
	CHECK_EQ(bus_read(pio, 0xcfc, 4), 0xffffffff);
	bus_write(pio, 0xcf8, 4, 0x00000800);		/* not enabled */
	CHECK_EQ(bus_read(pio, 0xcfc, 4), 0xffffffff);
	CHECK_EQ(bus_read(pio, 0xcff, 4), 0xffffffff);	/* past the ports */
	bus_write(pio, 0xcff, 2, 0);
	tear_down();
}

static void test_ports(void)
{
	set_up();
	/* How Linux looks for mechanism 1. */
	bus_write(pio, 0xcfb, 1, 1);
	bus_write(pio, 0xcf8, 4, 0x80000000);
	CHECK_EQ(bus_read(pio, 0xcf8, 4), 0x80000000);
	CHECK_EQ(port_read(1, 0, 4), 0x56781234);
	CHECK_EQ(port_read(1, 2, 2), 0x5678);
	CHECK_EQ(port_read(1, 1, 1), 0x12);
	port_write(1, PCI_INTERRUPT_LINE, 1, 7);
	CHECK_EQ(ecam_read(1, PCI_INTERRUPT_LINE, 1), 7);
	/* The reset port lies between. */
	bus_write(pio, 0xcf9, 1, 6);
	CHECK_EQ(cf9_written, 6);
	CHECK_EQ(bus_read(pio, 0xcf9, 1), 0x5a);
	tear_down();
}

static uint32_t bar_size(unsigned int reg)
{
	uint32_t old = ecam_read(1, reg, 4), size;

	ecam_write(1, reg, 4, 0xffffffff);
	size = ecam_read(1, reg, 4);
	ecam_write(1, reg, 4, old);
	CHECK_EQ(ecam_read(1, reg, 4), old);
	return size;
}

static void test_bars_assigned(void)
{
	uint64_t bar0;

	set_up();
	bar0 = ecam_read(1, 0x10, 4) | (uint64_t)ecam_read(1, 0x14, 4) << 32;
	CHECK_EQ(bar0, WINDOW64 | 0xc);
	CHECK_EQ(ecam_read(1, 0x18, 4), WINDOW);
	CHECK_EQ(ecam_read(1, 0x1c, 4), 0xc001);
	CHECK_EQ(ecam_read(1, 0x20, 4), 0);
	CHECK_EQ(bar_size(0x10), 0xffff000c);
	CHECK_EQ(bar_size(0x14), 0xffffffff);
	CHECK_EQ(bar_size(0x18), 0xfffff000);
	CHECK_EQ(bar_size(0x1c), 0xffffffe1);
	CHECK_EQ(bar_size(0x20), 0);
	CHECK_EQ(bar_size(0x30), 0);	/* no expansion ROM */
	tear_down();
}

static void test_bars_answer(void)
{
	unsigned int mmio0, pio0;

	set_up();
	mmio0 = fake_ranges(mmio);
	pio0 = fake_ranges(pio);
	CHECK_EQ(bus_read(mmio, WINDOW64, 4), 0xffffffff);
	ecam_write(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	CHECK_EQ(fake_ranges(mmio), mmio0 + 2);
	CHECK_EQ(fake_ranges(pio), pio0);
	CHECK_EQ(bus_read(mmio, WINDOW64 + 8, 8), 0x1122334455667708ULL);
	ecam_write(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
	CHECK_EQ(fake_ranges(pio), pio0 + 1);
	CHECK_EQ(bus_read(pio, 0xc004, 1), 4);
	bus_write(mmio, WINDOW64 + 0xfff8, 8, 42);
	CHECK_EQ(toy->last_off, 0xfff8);
	CHECK_EQ(toy->last_value, 42);
	ecam_write(1, PCI_COMMAND, 2, 0);
	CHECK_EQ(fake_ranges(mmio), mmio0);
	CHECK_EQ(fake_ranges(pio), pio0);
	CHECK_EQ(toy->maps, 3);
	CHECK_EQ(toy->unmaps, 3);
	tear_down();
}

static void test_bars_move(void)
{
	unsigned int ranges;

	set_up();
	ecam_write(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
	ranges = fake_ranges(mmio);
	ecam_write(1, 0x10, 4, 0xd0000000);
	CHECK_EQ(bus_read(mmio, WINDOW64, 1), 0xff);
	CHECK_EQ(bus_read(mmio, 0x8d0000004ULL, 1), 4);	/* the upper half is as it was */
	ecam_write(1, 0x14, 4, 0);
	CHECK_EQ(bus_read(mmio, 0xd0000005, 1), 5);
	CHECK_EQ(fake_ranges(mmio), ranges);
	/* The size's low bits cannot be set. */
	ecam_write(1, 0x18, 4, 0xd1000fff);
	CHECK_EQ(ecam_read(1, 0x18, 4), 0xd1000000);
	/* On top of another BAR: it does not answer there, and comes back when it moves away. */
	ecam_write(1, 0x18, 4, 0xd0000000);
	CHECK_EQ(fake_ranges(mmio), ranges - 1);
	CHECK_EQ(bus_read(mmio, 0xd0000005, 1), 5);
	ecam_write(1, 0x18, 4, 0xd1000000);
	CHECK_EQ(fake_ranges(mmio), ranges);
	/* At the end of the address space, and over the ECAM. */
	ecam_write(1, 0x10, 4, 0xffff0000);
	ecam_write(1, 0x14, 4, 0xffffffff);
	CHECK_EQ(bus_read(mmio, 0xffffffffffff0006ULL, 1), 6);
	ecam_write(1, 0x18, 4, ECAM);
	CHECK_EQ(ecam_read(1, 0, 4), 0x56781234);
	ecam_write(1, 0x1c, 4, 0xffffffff);	/* I/O past 64 KiB */
	CHECK_EQ(ecam_read(1, 0x1c, 4), 0xffffffe1);
	tear_down();
}

static void test_reset(void)
{
	set_up();
	ecam_write(1, PCI_COMMAND, 2, 0x407);
	ecam_write(1, 0x18, 4, 0xd1000000);
	ecam_write(1, PCI_INTERRUPT_LINE, 1, 3);
	pci_host_reset(host);
	CHECK_EQ(toy->resets, 2);
	CHECK_EQ(ecam_read(1, PCI_COMMAND, 2), 0);
	CHECK_EQ(ecam_read(1, 0x18, 4), WINDOW);
	CHECK_EQ(ecam_read(1, PCI_INTERRUPT_LINE, 1), 17);
	CHECK_EQ(fake_ranges(mmio), 1);
	CHECK_EQ(bus_read(pio, 0xcf8, 4), 0);
	tear_down();
}

static void test_slots(void)
{
	struct toy *t;
	int ret;

	set_up();
	t = toy_add(5, &ret);
	CHECK_EQ(ret, 0);
	CHECK_EQ(t->pci.slot, 5);
	CHECK_EQ(ecam_read(5, 0x1c, 4), 0xc021);
	CHECK_EQ(ecam_read(5, 0x18, 4), WINDOW + 0x1000);
	toy_add(5, &ret);
	CHECK_EQ(ret, -EEXIST);
	toy_add(32, &ret);
	CHECK_EQ(ret, -EEXIST);
	for (unsigned int i = 2; i < 32; i++)
		if (i != 5)
			CHECK(toy_add(-1, &ret));
	toy_add(-1, &ret);
	CHECK_EQ(ret, -ENOSPC);
	destroyed = 0;
	tear_down();
	CHECK_EQ(destroyed, 31);
}

static void test_windows_full(void)
{
	struct pci_dev *d;
	struct hv_err err;

	set_up();
	d = calloc(1, sizeof(*d));
	pci_dev_init(d, "huge", &toy_ops, 1, 2, 3, 0xff0000);
	CHECK_EQ(pci_dev_set_bar(d, 0, PCI_BAR_MEM32, false, 0x20000000, &toy_bar_ops, d), 0);
	CHECK_EQ(pci_dev_add(host, d, -1, &err), -ENOSPC);
	free(d);
	/* A 64-bit BAR that does not fit above goes below, if it can. */
	d = calloc(1, sizeof(*d));
	pci_dev_init(d, "large", &toy_ops, 1, 2, 3, 0xff0000);
	CHECK_EQ(pci_dev_set_bar(d, 0, PCI_BAR_MEM64, false, 1ULL << 33, &toy_bar_ops, d), 0);
	CHECK_EQ(pci_dev_add(host, d, -1, &err), -ENOSPC);
	free(d);
	tear_down();
}

static void test_bad_bars(void)
{
	struct pci_dev d = { 0 };

	CHECK_EQ(pci_dev_set_bar(&d, 0, PCI_BAR_MEM32, false, 0x1800, &toy_bar_ops, &d), -EINVAL);
	CHECK_EQ(pci_dev_set_bar(&d, 0, PCI_BAR_MEM32, false, 0x800, &toy_bar_ops, &d), -EINVAL);
	CHECK_EQ(pci_dev_set_bar(&d, 0, PCI_BAR_IO, false, 512, &toy_bar_ops, &d), -EINVAL);
	CHECK_EQ(pci_dev_set_bar(&d, 5, PCI_BAR_MEM64, false, 0x1000, &toy_bar_ops, &d), -EINVAL);
	CHECK_EQ(pci_dev_set_bar(&d, 6, PCI_BAR_MEM32, false, 0x1000, &toy_bar_ops, &d), -EINVAL);
	CHECK_EQ(pci_dev_set_bar(&d, 0, PCI_BAR_NONE, false, 0x1000, &toy_bar_ops, &d), -EINVAL);
	CHECK_EQ(pci_dev_set_bar(&d, 0, PCI_BAR_MEM32, false, 0x1000, &toy_bar_ops, &d), 0);
	CHECK_EQ(pci_dev_set_bar(&d, 0, PCI_BAR_MEM32, false, 0x1000, &toy_bar_ops, &d), -EINVAL);
}

static void test_capabilities(void)
{
	struct pci_dev d = { 0 };

	pci_dev_init(&d, "caps", &toy_ops, 1, 2, 3, 0);
	CHECK_EQ(pci_dev_add_cap(&d, PCI_CAP_ID_VNDR, 17), 0x40);
	CHECK_EQ(pci_dev_add_cap(&d, PCI_CAP_ID_PM, 8), 0x54);
	CHECK_EQ(d.config[PCI_CAPABILITY_LIST], 0x40);
	CHECK_EQ(d.config[0x40], PCI_CAP_ID_VNDR);
	CHECK_EQ(d.config[0x41], 0x54);
	CHECK_EQ(d.config[0x55], 0);
	CHECK_EQ(pci_dev_add_cap(&d, PCI_CAP_ID_VNDR, 0xa8), -ENOSPC);
	CHECK_EQ(pci_dev_add_cap(&d, PCI_CAP_ID_VNDR, 0xa4), 0x5c);
	CHECK_EQ(pci_dev_add_cap(&d, PCI_CAP_ID_VNDR, 4), -ENOSPC);
}

static void test_pins(void)
{
	struct toy *other;
	int ret;

	set_up();
	other = toy_add(5, &ret);	/* shares GSI 17 */
	pci_intx_set(&toy->pci, true);
	CHECK(fake_vm.line[17]);
	pci_intx_set(&other->pci, true);
	pci_intx_set(&toy->pci, false);
	CHECK(fake_vm.line[17]);
	pci_intx_set(&other->pci, false);
	CHECK(!fake_vm.line[17]);
	CHECK_EQ(fake_vm.line_changes, 2);
	/* Disabled in the command register: held down, and back when enabled. */
	pci_intx_set(&toy->pci, true);
	ecam_write(1, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	CHECK(!fake_vm.line[17]);
	ecam_write(1, PCI_COMMAND, 2, 0);
	CHECK(fake_vm.line[17]);
	/* MSI-X enabled: likewise. */
	ecam_write(1, 0x42, 2, PCI_MSIX_FLAGS_ENABLE);
	CHECK(!fake_vm.line[17]);
	ecam_write(1, 0x42, 2, 0);
	CHECK(fake_vm.line[17]);
	pci_host_reset(host);
	CHECK(!fake_vm.line[17]);
	tear_down();
}

static void msix_set(unsigned int n, uint64_t addr, uint32_t data, uint32_t control)
{
	uint64_t at = WINDOW + 16 * n;

	bus_write(mmio, at + 12, 4, 1);
	bus_write(mmio, at, 4, (uint32_t)addr);
	bus_write(mmio, at + 4, 4, addr >> 32);
	bus_write(mmio, at + 8, 4, data);
	bus_write(mmio, at + 12, 4, control);
}

static void test_msix_registers(void)
{
	set_up();
	ecam_write(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	CHECK_EQ(ecam_read(1, 0x40, 1), PCI_CAP_ID_MSIX);
	CHECK_EQ(ecam_read(1, 0x42, 2), TOY_VECTORS - 1);
	CHECK_EQ(ecam_read(1, 0x44, 4), 0 | 2);
	CHECK_EQ(ecam_read(1, 0x48, 4), 0x800 | 2);
	ecam_write(1, 0x42, 2, 0xffff);
	CHECK_EQ(ecam_read(1, 0x42, 2), 0xc000 | (TOY_VECTORS - 1));
	CHECK_EQ(bus_read(mmio, WINDOW + 12, 4), 1);	/* masked at first */
	msix_set(1, 0x1fee00000ULL | 3, 0x4041, 0xffffffff);
	CHECK_EQ(bus_read(mmio, WINDOW + 16, 8), 0x1fee00000ULL);
	CHECK_EQ(bus_read(mmio, WINDOW + 24, 8), 0x100004041ULL);
	bus_write(mmio, WINDOW + 16, 8, 0xfee01000);
	CHECK_EQ(bus_read(mmio, WINDOW + 16, 4), 0xfee01000);
	/* Outside of the table, or neither 4 nor 8 aligned bytes. */
	bus_write(mmio, WINDOW + 16 * TOY_VECTORS, 4, 1);
	CHECK_EQ(bus_read(mmio, WINDOW + 16 * TOY_VECTORS, 8), 0);
	bus_write(mmio, WINDOW + 16, 2, 0);
	bus_write(mmio, WINDOW + 18, 4, 0);
	bus_write(mmio, WINDOW + 20, 8, 0);
	CHECK_EQ(bus_read(mmio, WINDOW + 16, 4), 0xfee01000);
	CHECK_EQ(bus_read(mmio, WINDOW + 18, 4), 0);
	CHECK_EQ(bus_read(mmio, WINDOW + 0x800, 8), 0);
	CHECK_EQ(bus_read(mmio, WINDOW + 0x808, 8), 0);
	tear_down();
}

static void test_msix_fires(void)
{
	set_up();
	ecam_write(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	msix_set(0, MSI_ADDR, 0x31, 0);
	msix_set(1, MSI_ADDR, 0x32, 0);
	CHECK(!fake_route_find(MSI_ADDR, 0x31));	/* not enabled yet */
	ecam_write(1, 0x42, 2, PCI_MSIX_FLAGS_ENABLE);
	CHECK(pci_msix_enabled(&toy->pci));
	CHECK(fake_route_find(MSI_ADDR, 0x31));
	pci_msix_fire(&toy->pci, 1);
	CHECK(!fake_route_fired(fake_route_find(MSI_ADDR, 0x31)));
	CHECK(fake_route_fired(fake_route_find(MSI_ADDR, 0x32)));
	CHECK_EQ(bus_read(mmio, WINDOW + 0x800, 8), 0);
	/* Another message for an unmasked vector. */
	bus_write(mmio, WINDOW + 16 + 8, 4, 0x99);
	CHECK(!fake_route_find(MSI_ADDR, 0x32));
	pci_msix_fire(&toy->pci, 1);
	CHECK(fake_route_fired(fake_route_find(MSI_ADDR, 0x99)));
	pci_msix_fire(&toy->pci, TOY_VECTORS);	/* no such vector */
	tear_down();
}

static void test_msix_masks(void)
{
	set_up();
	ecam_write(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	msix_set(0, MSI_ADDR, 0x31, 0);
	msix_set(2, MSI_ADDR, 0x33, 0);
	ecam_write(1, 0x42, 2, PCI_MSIX_FLAGS_ENABLE);
	bus_write(mmio, WINDOW + 32 + 12, 4, 1);
	CHECK(!fake_route_find(MSI_ADDR, 0x33));
	CHECK(fake_route_find(MSI_ADDR, 0x31));
	pci_msix_fire(&toy->pci, 2);
	CHECK_EQ(bus_read(mmio, WINDOW + 0x800, 8), 1 << 2);
	CHECK_EQ(bus_read(mmio, WINDOW + 0x804, 4), 0);
	bus_write(mmio, WINDOW + 32 + 12, 4, 0);	/* unmasked: the pending one is sent */
	CHECK_EQ(bus_read(mmio, WINDOW + 0x800, 8), 0);
	CHECK(fake_route_fired(fake_route_find(MSI_ADDR, 0x33)));
	/* The function mask covers all. */
	ecam_write(1, 0x42, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	CHECK(!fake_route_find(MSI_ADDR, 0x31));
	CHECK(!fake_route_find(MSI_ADDR, 0x33));
	pci_msix_fire(&toy->pci, 0);
	CHECK_EQ(bus_read(mmio, WINDOW + 0x800, 8), 1);
	ecam_write(1, 0x42, 2, PCI_MSIX_FLAGS_ENABLE);
	CHECK(fake_route_fired(fake_route_find(MSI_ADDR, 0x31)));
	CHECK(!fake_route_fired(fake_route_find(MSI_ADDR, 0x33)));
	/* A reset forgets what is pending. */
	bus_write(mmio, WINDOW + 12, 4, 1);
	pci_msix_fire(&toy->pci, 0);
	pci_host_reset(host);
	ecam_write(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	CHECK_EQ(bus_read(mmio, WINDOW + 0x800, 8), 0);
	CHECK_EQ(bus_read(mmio, WINDOW + 12, 4), 1);
	CHECK_EQ(bus_read(mmio, WINDOW, 8), 0);
	tear_down();
}

static void test_msix_no_routes(void)
{
	set_up();
	test_catch_log();
	fake_vm.refuse_routes = true;
	ecam_write(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	ecam_write(1, 0x42, 2, PCI_MSIX_FLAGS_ENABLE);
	msix_set(0, MSI_ADDR, 0x31, 0);
	msix_set(1, MSI_ADDR, 0x31, 0);
	CHECK_EQ(test_log_lines, 1);
	CHECK(test_log_has("no route"));
	pci_msix_fire(&toy->pci, 0);
	CHECK_EQ(bus_read(mmio, WINDOW + 0x800, 8), 1);
	tear_down();
}

static void test_state(void)
{
	struct hv_state_writer w;
	struct hv_state_reader r;
	struct hv_err err;

	set_up();
	ecam_write(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	msix_set(0, MSI_ADDR, 0x31, 0);
	msix_set(1, MSI_ADDR, 0x32, 1);
	ecam_write(1, 0x42, 2, PCI_MSIX_FLAGS_ENABLE);
	pci_msix_fire(&toy->pci, 1);
	ecam_write(1, 0x18, 4, 0xd1000000);
	bus_write(pio, 0xcf8, 4, 0x80000808);
	hv_state_writer_init(&w);
	pci_host_save(host, &w);
	CHECK_EQ(w.error, 0);
	tear_down();

	set_up();
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK_EQ(pci_host_load(host, &r, &err), 0);
	CHECK_EQ(bus_read(pio, 0xcf8, 4), 0x80000808);
	CHECK_EQ(ecam_read(1, PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	CHECK_EQ(ecam_read(1, 0x18, 4), 0xd1000000);
	CHECK(fake_route_find(MSI_ADDR, 0x31));
	CHECK(!fake_route_find(MSI_ADDR, 0x32));
	CHECK_EQ(bus_read(mmio, 0xd1000800, 8), 1 << 1);
	bus_write(mmio, 0xd1000000 + 16 + 12, 4, 0);
	CHECK(fake_route_fired(fake_route_find(MSI_ADDR, 0x32)));
	/* Damage anywhere is refused. */
	for (size_t i = 0; i < w.len; i++) {
		w.buf[i] ^= 1;
		hv_state_reader_init(&r, w.buf, w.len);
		if (!pci_host_load(host, &r, &err))
			CHECK_EQ(i, SIZE_MAX);
		w.buf[i] ^= 1;
	}
	hv_state_writer_free(&w);
	tear_down();
}

/* Whatever is written anywhere: nothing breaks, and ids stay. */
static void test_random_writes(void)
{
	set_up();
	test_catch_log();
	srandom(2);
	for (unsigned int i = 0; i < 200000; i++) {
		unsigned int size = 1u << random() % 3;
		uint32_t v = random() % 4 ? (uint32_t)random() << 1 : (uint32_t)random() % 8;
		unsigned int reg = (unsigned int)random() % 256 & ~(size - 1);

		if (random() % 2)
			ecam_write((unsigned int)random() % 2, reg, size, v);
		else
			bus_write(pio, 0xcf8 + random() % 8, size, v);
		if (!(random() % 64))
			ecam_read(1, reg, size);
	}
	CHECK_EQ(ecam_read(1, 0, 4), 0x56781234);
	CHECK_EQ(ecam_read(1, 0x42, 2) & 0x7ff, TOY_VECTORS - 1);
	tear_down();
}

static void test_bad_windows(void)
{
	struct pci_host_config cfg = {
		.vm = fake_vm_init(), .pio = bus_create(BUS_PIO), .mmio = bus_create(BUS_MMIO),
		.ecam_base = ECAM, .mmio_base = WINDOW, .mmio_size = 0x80000000,
	};
	struct hv_err err;

	CHECK_EQ(pci_host_create(&cfg, &host, &err), -EINVAL);
	cfg.mmio_size = WINDOW_SIZE;
	cfg.mmio64_base = ~0ULL << 12;
	cfg.mmio64_size = 0x2000;
	CHECK_EQ(pci_host_create(&cfg, &host, &err), -EINVAL);
	cfg.mmio64_base = 0;
	cfg.ecam_base = ~0ULL - 0xfff;
	CHECK_EQ(pci_host_create(&cfg, &host, &err), -EINVAL);
	CHECK_EQ(fake_ranges(cfg.pio), 0);
	bus_destroy(cfg.pio);
	bus_destroy(cfg.mmio);
}

int main(void)
{
	TEST_RUN(test_header);
	TEST_RUN(test_nobody_there);
	TEST_RUN(test_ports);
	TEST_RUN(test_bars_assigned);
	TEST_RUN(test_bars_answer);
	TEST_RUN(test_bars_move);
	TEST_RUN(test_reset);
	TEST_RUN(test_slots);
	TEST_RUN(test_windows_full);
	TEST_RUN(test_bad_bars);
	TEST_RUN(test_capabilities);
	TEST_RUN(test_pins);
	TEST_RUN(test_msix_registers);
	TEST_RUN(test_msix_fires);
	TEST_RUN(test_msix_masks);
	TEST_RUN(test_msix_no_routes);
	TEST_RUN(test_state);
	TEST_RUN(test_random_writes);
	TEST_RUN(test_bad_windows);
	return TEST_EXIT();
}
