// SPDX-License-Identifier: GPL-2.0-or-later
/* ACPI tables: found as a guest finds them, checksums right, and iasl understands them all. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "../../vmm-user/chipset/acpi.h"
#include "../../vmm-user/chipset/acpi_defs.h"
#include "../../vmm-user/memory/layout.h"
#include "../../vmm-user/memory/ram.h"
#include "unit_test.h"

static struct hvm_ram ram;
static uint64_t rsdp;
static struct hv_err err;

static void *at(uint64_t gpa, uint64_t len)
{
	return guest_mem_ptr(&ram.mem, gpa, len);
}

static uint8_t sum(const void *p, size_t len)
{
	uint8_t s = 0;

	for (size_t i = 0; i < len; i++)
		s += ((const uint8_t *)p)[i];
	return s;
}

static int make_tables(unsigned int cpus)
{
	const struct hvm_acpi_config cfg = {
		.cpus = cpus, .ecam_base = HVM_ECAM_BASE,
		.mem32 = { { HVM_PCI_MMIO_BASE, HVM_PCI_MMIO_SIZE } },
		.mem64 = { 0x140000000, 0x400000000 },
	};

	if (!ram.map)
		CHECK_EQ(hvm_ram_create(&ram, 64ULL << 20, false, &err), 0);
	return hvm_acpi_write(&cfg, &ram.mem, &rsdp, &err);
}

static struct acpi_header *xsdt(void)
{
	const struct acpi_rsdp *r = at(rsdp, sizeof(*r));

	return at(r->xsdt, sizeof(struct acpi_header));
}

/* The @n-th table with @signature in the XSDT, or NULL. */
static void *find(const char *signature)
{
	struct acpi_header *x = xsdt();

	for (uint32_t off = sizeof(*x); off + 8 <= x->length; off += 8) {
		struct acpi_header *h;
		uint64_t gpa;

		memcpy(&gpa, (char *)x + off, 8);
		h = at(gpa, sizeof(*h));
		if (h && !memcmp(h->signature, signature, 4))
			return h;
	}
	return NULL;
}

static void test_root(void)
{
	const struct acpi_rsdp *r;

	CHECK_EQ(make_tables(2), 0);
	CHECK_EQ(rsdp, HVM_ACPI_BASE);
	r = at(rsdp, sizeof(*r));
	CHECK(!memcmp(r->signature, "RSD PTR ", 8));
	CHECK_EQ(r->revision, 2);
	CHECK_EQ(sum(r, 20), 0);
	CHECK_EQ(sum(r, sizeof(*r)), 0);
	CHECK(!memcmp(xsdt()->signature, "XSDT", 4));
	CHECK_EQ(sum(xsdt(), xsdt()->length), 0);
}

static void test_checksums(void)
{
	static const char *const names[] = { "FACP", "APIC", "MCFG", "SSDT" };
	const struct acpi_fadt *f = find("FACP");
	const struct acpi_header *dsdt = at(f->x_dsdt, sizeof(*dsdt));

	CHECK_EQ((xsdt()->length - sizeof(struct acpi_header)) / 8, 4);
	for (unsigned int i = 0; i < 4; i++) {
		struct acpi_header *h = find(names[i]);

		CHECK(h);
		CHECK_EQ(sum(h, h->length), 0);
	}
	CHECK(!memcmp(dsdt->signature, "DSDT", 4));
	CHECK_EQ(sum(dsdt, dsdt->length), 0);
	CHECK_EQ(f->dsdt, f->x_dsdt);
	CHECK(!memcmp(at(f->facs, 64), "FACS", 4));
	CHECK_EQ(f->facs % 64, 0);
}

static void test_fadt(void)
{
	const struct acpi_fadt *f = find("FACP");

	CHECK_EQ(f->hdr.length, 276);
	CHECK_EQ(f->sci_int, HVM_GSI_SCI);
	CHECK_EQ(f->x_pm1a_evt_blk.address, f->pm1a_evt_blk);
	CHECK_EQ(f->x_pm1a_evt_blk.bit_width, 32);
	CHECK_EQ(f->x_pm1a_cnt_blk.address, f->pm1a_cnt_blk);
	CHECK_EQ(f->x_pm1a_cnt_blk.bit_width, 16);
	CHECK_EQ(f->x_pm_tmr_blk.address, f->pm_tmr_blk);
	CHECK_EQ(f->reset_reg.address, 0xcf9);
	CHECK_EQ(f->reset_value, 6);
	CHECK(f->flags & FADT_RESET_REG_SUP);
}

static void test_madt(void)
{
	static const unsigned int counts[] = { 1, 2, 16, HVM_MAX_CPUS };

	for (size_t n = 0; n < sizeof(counts) / sizeof(counts[0]); n++) {
		unsigned int cpus = 0, ioapics = 0, overrides = 0;
		struct acpi_madt *m;
		uint32_t off;

		CHECK_EQ(make_tables(counts[n]), 0);
		m = find("APIC");
		for (off = sizeof(*m); off + 2 <= m->hdr.length;) {
			const uint8_t *e = (const uint8_t *)m + off;

			CHECK(e[1] >= 2 && off + e[1] <= m->hdr.length);
			if (e[0] == MADT_TYPE_LAPIC) {
				CHECK_EQ(e[2], cpus);
				CHECK_EQ(e[3], cpus);
				cpus++;
			}
			ioapics += e[0] == MADT_TYPE_IOAPIC;
			overrides += e[0] == MADT_TYPE_OVERRIDE;
			off += e[1] ? e[1] : m->hdr.length;
		}
		CHECK_EQ(off, m->hdr.length);
		CHECK_EQ(cpus, counts[n]);
		CHECK_EQ(ioapics, 1);
		CHECK_EQ(overrides, 2);
	}
}

static void test_too_large(void)
{
	CHECK_EQ(make_tables(100000), -ENOSPC);
	CHECK_EQ(make_tables(1), 0);
}

/* ---- iasl as oracle ---- */

static void dump(const char *dir, const char *name, const struct acpi_header *h)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s.aml", dir, name);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	CHECK_EQ(write(fd, h, h->length), h->length);
	close(fd);
}

/* Lines of @file that contain @text. */
static int count_lines(const char *dir, const char *file, const char *text)
{
	char path[128], line[512];
	int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "r");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		n += strstr(line, text) != NULL;
	fclose(f);
	return n;
}

/* Disassemble the tables (the SSDT together with the DSDT), compile them again. */
static void test_iasl(void)
{
	static const char *const names[] = { "FACP", "APIC", "MCFG" };
	char dir[] = "/tmp/hvm-acpi-XXXXXX", cmd[512];
	const struct acpi_fadt *f;

	CHECK(mkdtemp(dir));
	CHECK_EQ(make_tables(3), 0);
	f = find("FACP");
	dump(dir, "dsdt", at(f->x_dsdt, 36));
	dump(dir, "ssdt", find("SSDT"));
	for (unsigned int i = 0; i < 3; i++) {
		dump(dir, names[i], find(names[i]));
		snprintf(cmd, sizeof(cmd), "cd %s && iasl -d %s.aml >%s.log 2>&1", dir, names[i],
			 names[i]);
		CHECK_EQ(system(cmd), 0);
		snprintf(cmd, sizeof(cmd), "%s.dsl", names[i]);
		CHECK_EQ(count_lines(dir, cmd, "Invalid"), 0);
		CHECK_EQ(count_lines(dir, cmd, "Unknown"), 0);
	}
	snprintf(cmd, sizeof(cmd), "cd %s && iasl -e ssdt.aml -d dsdt.aml >d.log 2>&1 && "
		 "iasl -e dsdt.aml -d ssdt.aml >>d.log 2>&1 && iasl -p dsdt2 dsdt.dsl >>d.log 2>&1 && "
		 "iasl -p ssdt2 ssdt.dsl >>d.log 2>&1", dir);
	CHECK_EQ(system(cmd), 0);
	CHECK_EQ(count_lines(dir, "ssdt.dsl", "ACPI0007"), 3);
	CHECK_EQ(count_lines(dir, "ssdt.dsl", "0x0000000140000000"), 1);
	CHECK_EQ(count_lines(dir, "dsdt.dsl", "PNP0A08"), 1);
	if (test_failures) {
		snprintf(cmd, sizeof(cmd), "cat %s/*.log | sed 's/^/# /'", dir);
		if (system(cmd))
			printf("# no logs\n");
	}
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	CHECK_EQ(system(cmd), 0);
}

int main(void)
{
	TEST_RUN(test_root);
	TEST_RUN(test_checksums);
	TEST_RUN(test_fadt);
	TEST_RUN(test_madt);
	TEST_RUN(test_too_large);
	TEST_RUN(test_iasl);
	hvm_ram_destroy(&ram);
	return TEST_EXIT();
}
