// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What firmware reads: fw_cfg through ports and DMA, and ACPI tables installed by the loader's
 * commands as firmware does it; the chipset that it looks for; hostile addresses and lengths.
 */
#include <endian.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>

#include "../../vmm-user/chipset/acpi_loader.h"
#include "../../vmm-user/chipset/fw_cfg.h"
#include "../../vmm-user/chipset/q35.h"
#include "../../vmm-user/memory/layout.h"
#include "pci_fake_vm.h"
#include "unit_test.h"

#define PORT	HVM_PORT_FW_CFG
#define READ	(FW_CFG_FILE_FIRST << 16 | FW_CFG_DMA_SELECT | FW_CFG_DMA_READ)	/* "file" */

static struct bus *pio, *mmio;
static uint8_t ram[1 << 20];
static struct guest_mem mem = { .nr = 1, .region = { { .size = sizeof(ram), .hva = ram } } };
static struct hvm_fw_cfg *f;
static struct hv_err err;
static unsigned int refreshed;

static void refresh(void *opaque, struct hvm_fw_cfg *fw)
{
	refreshed++;
	CHECK_EQ(hvm_fw_cfg_replace(fw, "late", "fresh", 6), 0);
	CHECK_EQ(hvm_fw_cfg_replace(fw, "late", "longer!", 8), -EINVAL);
	CHECK_EQ(hvm_fw_cfg_replace(fw, "file", "12345", 5), -EINVAL);
}

static void set_up(void)
{
	const struct hvm_fw_cfg_config cfg = {
		.pio = pio, .port = PORT, .mem = &mem, .refresh = refresh,
	};

	memset(ram, 0xee, sizeof(ram));
	refreshed = 0;
	CHECK_EQ(hvm_fw_cfg_create(&cfg, &f, &err), 0);
	CHECK_EQ(hvm_fw_cfg_add_file(f, "file", "hello", 5, false, &err), 0);
	CHECK_EQ(hvm_fw_cfg_add_file(f, "late", "stale", 6, true, &err), 0);
}

static void tear_down(void)
{
	hvm_fw_cfg_destroy(f);
}

static void cfg_select(uint16_t key)
{
	bus_write(pio, PORT, 2, key);
}

static uint8_t next(void)
{
	return (uint8_t)bus_read(pio, PORT + 1, 1);
}

/* Run the command at @at: its status. */
static uint32_t dma(uint64_t at, uint32_t control, uint32_t len, uint64_t address)
{
	struct fw_cfg_dma d = { htobe32(control), htobe32(len), htobe64(address) };

	memcpy(&ram[at], &d, sizeof(d));
	bus_write(pio, PORT + 4, 4, htobe32((uint32_t)(at >> 32)));
	bus_write(pio, PORT + 8, 4, htobe32((uint32_t)at));
	memcpy(&d, &ram[at], sizeof(d));
	return be32toh(d.control);
}

static void test_ports(void)
{
	struct fw_cfg_file file;
	uint8_t *p = (uint8_t *)&file;

	set_up();
	cfg_select(FW_CFG_SIGNATURE);
	CHECK_EQ(next(), 'Q');
	CHECK_EQ(next(), 'E');
	CHECK_EQ(next(), 'M');
	CHECK_EQ(next(), 'U');
	CHECK_EQ(next(), 0);	/* and behind the end */
	cfg_select(FW_CFG_ID);
	CHECK_EQ(next(), 3);
	cfg_select(0x4321);	/* no such item */
	CHECK_EQ(next(), 0);
	cfg_select(FW_CFG_FILE_DIR);
	for (unsigned int i = 0; i < 3; i++)
		CHECK_EQ(next(), 0);
	CHECK_EQ(next(), 2);
	for (size_t i = 0; i < sizeof(file); i++)
		p[i] = next();
	CHECK_EQ(be32toh(file.size), 5);
	CHECK_EQ(be16toh(file.select), FW_CFG_FILE_FIRST);
	CHECK_STR(file.name, "file");
	cfg_select(FW_CFG_FILE_FIRST);
	CHECK_EQ(next(), 'h');
	/* Data cannot be written, and a wide read is none. */
	bus_write(pio, PORT + 1, 1, 'x');
	CHECK_EQ(bus_read(pio, PORT + 1, 2), 0);
	CHECK_EQ(next(), 'e');
	tear_down();
}

static void test_dma(void)
{
	set_up();
	CHECK_EQ(bus_read(pio, PORT + 4, 4), htobe32(0x51454d55));
	CHECK_EQ(bus_read(pio, PORT + 8, 4), htobe32(0x20434647));
	CHECK_EQ(dma(0x100, READ, 3, 0x1000), 0);
	CHECK(!memcmp(&ram[0x1000], "hel\xee", 4));
	CHECK_EQ(dma(0x100, FW_CFG_DMA_SKIP, 1, 0), 0);
	/* More than there is: zeroes. */
	CHECK_EQ(dma(0x100, FW_CFG_DMA_READ, 4, 0x1000), 0);
	CHECK(!memcmp(&ram[0x1000], "o\0\0\0\xee", 5));
	CHECK_EQ(dma(0x100, FW_CFG_DMA_WRITE, 1, 0x1000), FW_CFG_DMA_ERROR);
	CHECK_EQ(dma(0x100, FW_CFG_DMA_READ, 0, ~0ULL), 0);
	tear_down();
}

static void test_hostile_dma(void)
{
	static const struct {
		uint32_t len;
		uint64_t address;
	} bad[] = {
		{ 2, sizeof(ram) - 1 }, { UINT32_MAX, 0 }, { 1, sizeof(ram) }, { 1, ~0ULL },
		{ UINT32_MAX, ~0ULL - 1 }, { 0x80000000, 1ULL << 63 },
	};

	set_up();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK_EQ(dma(0, READ, bad[i].len, bad[i].address), FW_CFG_DMA_ERROR);
	/* A command that lies nowhere, or only half in memory, is not heard. */
	bus_write(pio, PORT + 8, 4, htobe32((uint32_t)sizeof(ram) - 8));
	bus_write(pio, PORT + 4, 4, 0xffffffff);
	bus_write(pio, PORT + 8, 4, 0xffffffff);
	/* The position does not wrap around to the start. */
	cfg_select(FW_CFG_FILE_FIRST);
	CHECK_EQ(dma(0, FW_CFG_DMA_SKIP, UINT32_MAX, 0), 0);
	CHECK_EQ(dma(0, FW_CFG_DMA_SKIP, UINT32_MAX, 0), 0);
	CHECK_EQ(next(), 0);
	CHECK_EQ(next(), 0);
	/* The result over the command itself: the status is what stays. */
	CHECK_EQ(dma(0, READ, 16, 0), 0);
	tear_down();
}

static void test_late(void)
{
	set_up();
	cfg_select(FW_CFG_FILE_FIRST);
	next();
	CHECK_EQ(refreshed, 0);
	cfg_select(FW_CFG_FILE_FIRST + 1);
	CHECK_EQ(refreshed, 0);
	CHECK_EQ(next(), 'f');
	CHECK_EQ(next(), 'r');
	CHECK_EQ(refreshed, 1);
	hvm_fw_cfg_reset(f);
	cfg_select(FW_CFG_FILE_FIRST + 1);
	CHECK_EQ(next(), 'f');
	CHECK_EQ(refreshed, 2);
	tear_down();
}

static void test_state(void)
{
	struct hv_state_writer w;
	struct hv_state_reader r;

	set_up();
	cfg_select(FW_CFG_FILE_FIRST);
	next();
	next();
	bus_write(pio, PORT + 4, 4, htobe32(1));
	hv_state_writer_init(&w);
	hvm_fw_cfg_save(f, &w);
	hvm_fw_cfg_reset(f);
	CHECK_EQ(next(), 'Q');
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK_EQ(hvm_fw_cfg_load(f, &r, &err), 0);
	CHECK_EQ(next(), 'l');
	for (size_t len = 0; len < w.len; len++) {
		hv_state_reader_init(&r, w.buf, len);
		CHECK(hvm_fw_cfg_load(f, &r, &err) < 0);
	}
	hv_state_writer_free(&w);
	tear_down();
}

static void test_bad_files(void)
{
	char name[] = "a file";
	int ret = 0;

	set_up();
	CHECK_EQ(hvm_fw_cfg_add_file(f, "file", "", 0, false, &err), -EINVAL);
	CHECK_EQ(hvm_fw_cfg_add_file(f, "", "", 0, false, &err), -EINVAL);
	CHECK_EQ(hvm_fw_cfg_add_file(f, "12345678901234567890123456789012345678901234567890123456", "",
				     0, false, &err), -EINVAL);
	CHECK_EQ(hvm_fw_cfg_add(f, FW_CFG_ID, "", 0, &err), -EEXIST);
	for (unsigned int i = 2; i <= FW_CFG_MAX_FILES && !ret; i++) {
		name[0] = (char)('A' + i);
		ret = hvm_fw_cfg_add_file(f, name, "", 0, false, &err);
		CHECK_EQ(ret, i < FW_CFG_MAX_FILES ? 0 : -EINVAL);
	}
	tear_down();
}

/* ---- The loader ---- */

#define TABLES_AT	0x80000u
#define RSDP_AT		0xf0000u

static uint8_t sum(const void *p, size_t len)
{
	uint8_t s = 0;

	for (size_t i = 0; i < len; i++)
		s += ((const uint8_t *)p)[i];
	return s;
}

static uint32_t place(const char *name)
{
	CHECK(!strcmp(name, HVM_ACPI_FILE_TABLES) || !strcmp(name, HVM_ACPI_FILE_RSDP));
	return strcmp(name, HVM_ACPI_FILE_RSDP) ? TABLES_AT : RSDP_AT;
}

static void execute(const struct acpi_loader_entry *e)
{
	uint64_t v = 0;
	uint8_t *p;

	switch (e->command) {
	case ACPI_LOADER_ALLOCATE:
		CHECK_EQ(place(e->allocate.file) % e->allocate.align, 0);
		CHECK_EQ(e->allocate.zone, place(e->allocate.file) == RSDP_AT ? ACPI_LOADER_FSEG :
									       ACPI_LOADER_HIGH);
		break;
	case ACPI_LOADER_ADD_POINTER:
		p = ram + place(e->pointer.file) + e->pointer.offset;
		memcpy(&v, p, e->pointer.size);
		v += place(e->pointer.pointee);
		memcpy(p, &v, e->pointer.size);
		break;
	case ACPI_LOADER_ADD_CHECKSUM:
		p = ram + place(e->checksum.file);
		CHECK_EQ(p[e->checksum.offset], 0);	/* firmware sums it up, too */
		p[e->checksum.offset] = (uint8_t)-sum(p + e->checksum.start, e->checksum.length);
		break;
	default:
		CHECK(false);
	}
}

static void install(const struct hvm_acpi_tables *t)
{
	struct acpi_loader_entry entry[ACPI_LOADER_MAX];
	unsigned int n = hvm_acpi_loader(t, entry);

	memset(ram, 0, sizeof(ram));
	memcpy(ram + TABLES_AT, t->data, t->len);
	memcpy(ram + RSDP_AT, &t->rsdp, sizeof(t->rsdp));
	for (unsigned int i = 0; i < n; i++)
		execute(&entry[i]);
}

static void test_loader(void)
{
	struct hvm_acpi_config cfg = {
		.cpus = 3, .ecam_base = 0xb0000000, .mem32 = { { 0x80000000, 0x30000000 },
							       { 0xc0000000, 0x3ec00000 } },
		.mem64 = { 0x100000000, 0x40000000 },
	};
	const struct acpi_rsdp *r = (const void *)(ram + RSDP_AT);
	struct hvm_acpi_tables t;
	struct acpi_header *x;
	size_t len;

	CHECK_EQ(hvm_acpi_build(&cfg, &t, &err), 0);
	len = t.len;
	install(&t);
	CHECK_EQ(sum(r, 20), 0);
	CHECK_EQ(sum(r, sizeof(*r)), 0);
	x = (void *)(ram + r->xsdt);
	CHECK(!memcmp(x->signature, "XSDT", 4));
	CHECK_EQ(sum(x, x->length), 0);
	for (uint32_t off = sizeof(*x); off < x->length; off += 8) {
		struct acpi_header *h;
		uint64_t gpa;

		memcpy(&gpa, (char *)x + off, 8);
		h = (void *)(ram + gpa);
		CHECK_EQ(sum(h, h->length), 0);
		if (!memcmp(h->signature, "FACP", 4)) {
			const struct acpi_fadt *fadt = (const void *)h;

			CHECK_EQ(fadt->dsdt, fadt->x_dsdt);
			CHECK(!memcmp(ram + fadt->dsdt, "DSDT", 4));
			CHECK(!memcmp(ram + fadt->facs, "FACS", 4));
		}
	}
	hvm_acpi_free(&t);
	/* Without ECAM and with other windows they are as long: firmware knows the length. */
	cfg.ecam_base = 0;
	cfg.mem32[1].size = 0;
	CHECK_EQ(hvm_acpi_build(&cfg, &t, &err), 0);
	CHECK_EQ(t.len, len);
	hvm_acpi_free(&t);
}

/* ---- The chipset ---- */

static struct pci_host *host;

static uint32_t conf_read(unsigned int slot, unsigned int reg)
{
	bus_write(pio, 0xcf8, 4, 0x80000000u | slot << 11 | (reg & 0xfc));
	return (uint32_t)bus_read(pio, 0xcfc, 4);
}

static void conf_write(unsigned int slot, unsigned int reg, uint32_t v)
{
	bus_write(pio, 0xcf8, 4, 0x80000000u | slot << 11 | (reg & 0xfc));
	bus_write(pio, 0xcfc, 4, v);
}

static void host_create(void)
{
	const struct pci_host_config cfg = {
		.vm = fake_vm_init(), .pio = pio, .mmio = mmio,
		.bridge = hvm_q35_bridge_create(&err),
		.mmio_base = HVM_PCI_MMIO_BASE, .mmio_size = HVM_PCI_MMIO_SIZE,
		.intx_gsi = { 16, 17, 18, 19 },
	};

	CHECK_EQ(pci_host_create(&cfg, &host, &err), 0);
	CHECK_EQ(hvm_q35_lpc_add(host, pio, &err), 0);
	pci_host_reset(host);
}

static void test_chipset(void)
{
	host_create();
	CHECK_EQ(conf_read(0, PCI_VENDOR_ID), 0x29c08086);
	CHECK_EQ(conf_read(0, PCI_SUBSYSTEM_VENDOR_ID), 0x11001af4);
	CHECK_EQ(conf_read(0, 0x90) & 0xff, 0x30);	/* PAM0: RAM is there */
	CHECK_EQ(conf_read(31, PCI_VENDOR_ID), 0x29188086);
	CHECK_EQ(conf_read(31, PCI_CLASS_REVISION) >> 8, 0x060100);
	/* Power management does not move. */
	conf_write(31, 0x40, 0x0801);
	CHECK_EQ(conf_read(31, 0x40), HVM_PORT_PM | 1);
	CHECK_EQ(conf_read(31, 0x44) & 0x80, 0x80);
	/* SeaBIOS waits for ever for an SMM that it believes to be able to set up. */
	CHECK(bus_read(pio, HVM_PORT_SMI, 4) & 0x20);
	bus_write(pio, HVM_PORT_SMI, 4, 0);
	CHECK(bus_read(pio, HVM_PORT_SMI, 4) & 0x20);
	pci_host_destroy(host);
	CHECK_EQ(fake_ranges(pio), 0);
	CHECK_EQ(fake_ranges(mmio), 0);
}

static uint64_t ecam_is_at(void)
{
	struct pci_layout layout;

	pci_host_layout(host, &layout);
	return layout.ecam_base;
}

static void test_ecam(void)
{
	host_create();
	CHECK_EQ(ecam_is_at(), 0);
	CHECK_EQ(bus_read(mmio, 0xb0000000, 4), 0xffffffff);
	conf_write(0, 0x60, 0xb0000001);
	CHECK_EQ(ecam_is_at(), 0xb0000000);
	CHECK_EQ(bus_read(mmio, 0xb0000000, 4), 0x29c08086);
	CHECK_EQ(bus_read(mmio, 0xb0000000 + (31 << 15), 4), 0x29188086);
	/* Moved through itself, and away from where it was. */
	bus_write(mmio, 0xb0000060, 4, 0xe0000001);
	CHECK_EQ(bus_read(mmio, 0xe0000000, 4), 0x29c08086);
	CHECK_EQ(bus_read(mmio, 0xb0000000, 4), 0xffffffff);
	bus_write(mmio, 0xb0000060, 4, 0);
	CHECK_EQ(ecam_is_at(), 0xe0000000);
	/* Above 4 GiB, over RAM, switched off. */
	conf_write(0, 0x64, 1);
	CHECK_EQ(ecam_is_at(), 0);
	conf_write(0, 0x64, 0);
	CHECK_EQ(ecam_is_at(), 0xe0000000);
	conf_write(0, 0x60, 0x70000001);
	CHECK_EQ(ecam_is_at(), 0);
	conf_write(0, 0x60, 0xb0000000);
	CHECK_EQ(ecam_is_at(), 0);
	for (uint64_t base = 0; base < 1ULL << 32; base += 1 << 28)
		conf_write(0, 0x60, (uint32_t)base | 1);
	pci_host_reset(host);
	CHECK_EQ(ecam_is_at(), 0);
	CHECK_EQ(fake_ranges(mmio), 0);
	pci_host_destroy(host);
}

static void test_ecam_state(void)
{
	struct hv_state_writer w;
	struct hv_state_reader r;

	host_create();
	conf_write(0, 0x60, 0xb0000001);
	hv_state_writer_init(&w);
	pci_host_save(host, &w);
	conf_write(0, 0x60, 0xe0000001);
	hv_state_reader_init(&r, w.buf, w.len);
	CHECK_EQ(pci_host_load(host, &r, &err), 0);
	CHECK_EQ(ecam_is_at(), 0xb0000000);
	CHECK_EQ(bus_read(mmio, 0xb0000000, 4), 0x29c08086);
	hv_state_writer_free(&w);
	pci_host_destroy(host);
}

int main(void)
{
	pio = bus_create(BUS_PIO);
	mmio = bus_create(BUS_MMIO);
	TEST_RUN(test_ports);
	TEST_RUN(test_dma);
	TEST_RUN(test_hostile_dma);
	TEST_RUN(test_late);
	TEST_RUN(test_state);
	TEST_RUN(test_bad_files);
	TEST_RUN(test_loader);
	TEST_RUN(test_chipset);
	TEST_RUN(test_ecam);
	TEST_RUN(test_ecam_state);
	bus_destroy(pio);
	bus_destroy(mmio);
	return TEST_EXIT();
}
