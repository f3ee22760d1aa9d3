// SPDX-License-Identifier: GPL-2.0-or-later
/* ACPI tables; see acpi.h. */
#include "acpi.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../memory/layout.h"
#include "acpi_defs.h"
#include "dsdt.inc"
#include "pm.h"

#define OEM_ID		"HVM   "
#define CREATOR_ID	"HVM "
#define TABLE_ALIGN	64
#define NR_TABLES	4	/* in the XSDT: FADT, MADT, MCFG, SSDT */
#define TABLES_SIZE	(HVM_ACPI_SIZE - TABLE_ALIGN)	/* the RSDP is before them */
#define CMOS_CENTURY	0x32
#define PIT_IRQ		0
#define PIT_GSI		2

/* Tables are laid one after the other; running out of room is found once, at the end. */
struct acpi_out {
	struct hvm_acpi_tables *t;
	uint8_t *buf;
	size_t len, cap;
	bool full;
};

static void *out_put(struct acpi_out *o, size_t len)
{
	static uint8_t nowhere[1024];
	void *p;

	if (len > o->cap - o->len) {
		o->full = true;
		return len <= sizeof(nowhere) ? nowhere : NULL;
	}
	p = o->buf + o->len;
	memset(p, 0, len);
	o->len += len;
	return p;
}

static void out_align(struct acpi_out *o)
{
	size_t pad = -o->len & (TABLE_ALIGN - 1);

	if (pad)
		out_put(o, pad);
}

/* The @size bytes at @off are an offset, to become an address. */
static void out_pointer(struct acpi_out *o, size_t off, uint8_t size)
{
	struct hvm_acpi_tables *t = o->t;

	if (t->nr_pointers == HVM_ACPI_POINTERS) {
		o->full = true;
		return;
	}
	t->pointer[t->nr_pointers].off = (uint32_t)off;
	t->pointer[t->nr_pointers++].size = size;
}

static uint8_t checksum(const void *p, size_t len)
{
	const uint8_t *b = p;
	uint8_t sum = 0;

	while (len--)
		sum += *b++;
	return (uint8_t)-sum;
}

static void header_fill(struct acpi_header *h, const char *signature, uint8_t revision)
{
	memcpy(h->signature, signature, 4);
	h->revision = revision;
	memcpy(h->oem_id, OEM_ID, 6);
	memcpy(h->oem_table_id, "HVM     ", 8);
	memcpy(h->oem_table_id + 3, signature, 4);
	h->oem_revision = 1;
	memcpy(h->creator_id, CREATOR_ID, 4);
	h->creator_revision = 1;
}

/* The table that began at @off is complete. */
static uint64_t table_end(struct acpi_out *o, size_t off)
{
	struct acpi_header *h = (struct acpi_header *)(o->buf + off);
	struct hvm_acpi_tables *t = o->t;

	if (t->nr_tables == HVM_ACPI_TABLES)
		o->full = true;
	if (!o->full) {
		h->length = (uint32_t)(o->len - off);
		h->checksum = 0;
		t->table[t->nr_tables].off = (uint32_t)off;
		t->table[t->nr_tables++].len = h->length;
	}
	out_align(o);
	return off;
}

/* ---- FADT and FACS ---- */

static struct acpi_gas gas_io(uint16_t port, unsigned int bytes)
{
	return (struct acpi_gas){
		.space_id = ACPI_SPACE_IO,
		.bit_width = (uint8_t)(8 * bytes),
		.access_size = bytes == 1 ? ACPI_ACCESS_BYTE :
			       bytes == 4 ? ACPI_ACCESS_DWORD : ACPI_ACCESS_WORD,
		.address = port,
	};
}

static uint64_t put_facs(struct acpi_out *o)
{
	size_t off = o->len;
	struct acpi_facs *f = out_put(o, sizeof(*f));

	memcpy(f->signature, "FACS", 4);
	f->length = sizeof(*f);
	f->version = 2;
	return off;
}

static uint64_t put_fadt(struct acpi_out *o, uint64_t facs, uint64_t dsdt)
{
	size_t off = o->len;
	struct acpi_fadt *f = out_put(o, sizeof(*f));

	header_fill(&f->hdr, "FACP", 6);
	f->minor_version = 5;
	f->facs = (uint32_t)facs;
	f->dsdt = (uint32_t)dsdt;
	f->x_dsdt = dsdt;
	out_pointer(o, off + offsetof(struct acpi_fadt, facs), sizeof(f->facs));
	out_pointer(o, off + offsetof(struct acpi_fadt, dsdt), sizeof(f->dsdt));
	out_pointer(o, off + offsetof(struct acpi_fadt, x_dsdt), sizeof(f->x_dsdt));
	f->preferred_pm_profile = FADT_PROFILE_SERVER;
	f->sci_int = HVM_GSI_SCI;
	/* No SMI command port: the machine is in ACPI mode from the start. */
	f->pm1a_evt_blk = HVM_PORT_PM + PM1_STS;
	f->pm1a_cnt_blk = HVM_PORT_PM + PM1_CNT;
	f->pm_tmr_blk = HVM_PORT_PM + PM_TMR;
	f->pm1_evt_len = PM1_EVT_LEN;
	f->pm1_cnt_len = PM1_CNT_LEN;
	f->pm_tmr_len = PM_TMR_LEN;
	f->x_pm1a_evt_blk = gas_io(HVM_PORT_PM + PM1_STS, PM1_EVT_LEN);
	f->x_pm1a_evt_blk.access_size = ACPI_ACCESS_WORD;
	f->x_pm1a_cnt_blk = gas_io(HVM_PORT_PM + PM1_CNT, PM1_CNT_LEN);
	f->x_pm_tmr_blk = gas_io(HVM_PORT_PM + PM_TMR, PM_TMR_LEN);
	f->p_lvl2_lat = 0xfff;	/* more than 100 and 1000: no C2 and C3 */
	f->p_lvl3_lat = 0xfff;
	f->century = CMOS_CENTURY;
	f->iapc_boot_arch = FADT_BOOT_LEGACY_DEVICES | FADT_BOOT_NO_VGA;
	f->flags = FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_FIX_RTC |
		   FADT_TMR_VAL_EXT | FADT_RESET_REG_SUP;
	f->reset_reg = gas_io(HVM_PORT_RESET, 1);
	f->reset_value = PM_RESET_VALUE;
	memcpy(&f->hypervisor_id, "hv      ", 8);
	return table_end(o, off);
}

/* ---- MADT and MCFG ---- */

static void put_override(struct acpi_out *o, uint8_t irq, uint32_t gsi, uint16_t flags)
{
	*(struct acpi_madt_override *)out_put(o, sizeof(struct acpi_madt_override)) =
		(struct acpi_madt_override){
			.type = MADT_TYPE_OVERRIDE, .length = sizeof(struct acpi_madt_override),
			.source = irq, .gsi = gsi, .flags = flags,
		};
}

static uint64_t put_madt(struct acpi_out *o, unsigned int cpus)
{
	size_t off = o->len;
	struct acpi_madt *m = out_put(o, sizeof(*m));

	header_fill(&m->hdr, "APIC", 5);
	m->lapic_addr = HVM_LAPIC_BASE;
	m->flags = MADT_PCAT_COMPAT;
	for (unsigned int i = 0; i < cpus; i++)
		*(struct acpi_madt_lapic *)out_put(o, sizeof(struct acpi_madt_lapic)) =
			(struct acpi_madt_lapic){
				MADT_TYPE_LAPIC, sizeof(struct acpi_madt_lapic), (uint8_t)i,
				(uint8_t)i, MADT_LAPIC_ENABLED,
			};
	*(struct acpi_madt_ioapic *)out_put(o, sizeof(struct acpi_madt_ioapic)) =
		(struct acpi_madt_ioapic){
			.type = MADT_TYPE_IOAPIC, .length = sizeof(struct acpi_madt_ioapic),
			.address = HVM_IOAPIC_BASE,
		};
	put_override(o, PIT_IRQ, PIT_GSI, 0);
	put_override(o, HVM_GSI_SCI, HVM_GSI_SCI, MADT_ACTIVE_HIGH | MADT_LEVEL);
	*(struct acpi_madt_lapic_nmi *)out_put(o, sizeof(struct acpi_madt_lapic_nmi)) =
		(struct acpi_madt_lapic_nmi){
			.type = MADT_TYPE_LAPIC_NMI, .length = sizeof(struct acpi_madt_lapic_nmi),
			.processor_uid = 0xff, .lint = 1,
		};
	return table_end(o, off);
}

/* Where there is no ECAM the table says so, by having no entry. */
static uint64_t put_mcfg(struct acpi_out *o, uint64_t ecam_base)
{
	size_t off = o->len;
	struct acpi_mcfg *m = out_put(o, sizeof(*m));

	_Static_assert(sizeof(*m) <= TABLE_ALIGN, "the length of all tables is always the same");
	header_fill(&m->hdr, "MCFG", 1);
	m->base = ecam_base;	/* bus 0 only */
	if (!ecam_base && !o->full)
		o->len = off + offsetof(struct acpi_mcfg, base);
	return table_end(o, off);
}

/* ---- DSDT and SSDT ---- */

static uint64_t put_dsdt(struct acpi_out *o)
{
	size_t off = o->len;
	void *p = out_put(o, sizeof(dsdt_aml_code));

	if (p && !o->full)
		memcpy(p, dsdt_aml_code, sizeof(dsdt_aml_code));
	return table_end(o, off);
}

static void aml_byte(struct acpi_out *o, uint8_t b)
{
	*(uint8_t *)out_put(o, 1) = b;
}

static void aml_bytes(struct acpi_out *o, const void *p, size_t len)
{
	memcpy(out_put(o, len), p, len);
}

/* A package length in its three-byte form (20.2.4): room now, the value when it is known. */
static size_t aml_begin(struct acpi_out *o)
{
	size_t at = o->len;

	out_put(o, 3);
	return at;
}

static void aml_end(struct acpi_out *o, size_t at)
{
	size_t len = o->len - at;

	if (o->full)
		return;
	o->buf[at] = (uint8_t)(0x80 | (len & 0xf));
	o->buf[at + 1] = (uint8_t)(len >> 4);
	o->buf[at + 2] = (uint8_t)(len >> 12);
}

static void aml_name_qword(struct acpi_out *o, const char *name, uint64_t value)
{
	aml_byte(o, AML_NAME);
	aml_bytes(o, name, 4);
	aml_byte(o, AML_QWORD);
	aml_bytes(o, &value, sizeof(value));
}

static void aml_cpu(struct acpi_out *o, unsigned int id)
{
	char name[8];
	size_t at;

	aml_byte(o, AML_EXT);
	aml_byte(o, AML_EXT_DEVICE);
	at = aml_begin(o);
	snprintf(name, sizeof(name), "C%03X", id & 0xfff);
	aml_bytes(o, name, 4);
	aml_byte(o, AML_NAME);
	aml_bytes(o, "_HID", 4);
	aml_byte(o, AML_STRING);
	aml_bytes(o, "ACPI0007", 9);
	aml_byte(o, AML_NAME);
	aml_bytes(o, "_UID", 4);
	aml_byte(o, AML_BYTE);
	aml_byte(o, (uint8_t)id);
	aml_end(o, at);
}

static uint64_t put_ssdt(struct acpi_out *o, const struct hvm_acpi_config *cfg)
{
	size_t off = o->len, scope;
	struct acpi_header *h = out_put(o, sizeof(*h));

	header_fill(h, "SSDT", 2);
	aml_byte(o, AML_SCOPE);
	scope = aml_begin(o);
	aml_byte(o, AML_ROOT);
	aml_bytes(o, "_SB_", 4);
	aml_name_qword(o, "ECAB", cfg->ecam_base);
	for (unsigned int i = 0; i < 2; i++) {
		char base[] = "W32B", size[] = "W32L";

		base[2] = size[2] = (char)('2' + i);
		aml_name_qword(o, base, cfg->mem32[i].base);
		aml_name_qword(o, size, cfg->mem32[i].size);
	}
	aml_name_qword(o, "W64B", cfg->mem64.base);
	aml_name_qword(o, "W64L", cfg->mem64.size);
	for (unsigned int i = 0; i < cfg->cpus; i++)
		aml_cpu(o, i);
	aml_end(o, scope);
	return table_end(o, off);
}

/* ---- The root ---- */

static void put_xsdt(struct acpi_out *o, const uint64_t *tables)
{
	struct acpi_header *h = out_put(o, sizeof(*h));
	size_t off = o->len;

	header_fill(h, "XSDT", 1);
	aml_bytes(o, tables, NR_TABLES * sizeof(*tables));
	for (unsigned int i = 0; i < NR_TABLES; i++)
		out_pointer(o, off + i * sizeof(*tables), sizeof(*tables));
}

static void rsdp_fill(struct acpi_rsdp *r, uint64_t xsdt)
{
	*r = (struct acpi_rsdp){ .revision = 2, .length = sizeof(*r), .xsdt = xsdt };
	memcpy(r->signature, "RSD PTR ", 8);
	memcpy(r->oem_id, OEM_ID, 6);
}

int hvm_acpi_build(const struct hvm_acpi_config *cfg, struct hvm_acpi_tables *t,
		   struct hv_err *err)
{
	struct acpi_out o = { .t = t, .cap = TABLES_SIZE };
	uint64_t table[NR_TABLES], facs, dsdt;
	size_t off;

	memset(t, 0, sizeof(*t));
	o.buf = t->data = malloc(TABLES_SIZE);
	if (!o.buf)
		return hv_err_set(err, -ENOMEM, "ACPI tables: out of memory");
	facs = put_facs(&o);
	dsdt = put_dsdt(&o);
	table[0] = put_fadt(&o, facs, dsdt);
	table[1] = put_madt(&o, cfg->cpus);
	table[2] = put_mcfg(&o, cfg->ecam_base);
	table[3] = put_ssdt(&o, cfg);
	off = o.len;
	put_xsdt(&o, table);
	t->xsdt = (uint32_t)table_end(&o, off);
	t->len = o.len;
	if (o.full) {
		hvm_acpi_free(t);
		return hv_err_set(err, -ENOSPC, "the ACPI tables for %u processors are too large",
				  cfg->cpus);
	}
	rsdp_fill(&t->rsdp, t->xsdt);
	return 0;
}

void hvm_acpi_free(struct hvm_acpi_tables *t)
{
	free(t->data);
	memset(t, 0, sizeof(*t));
}

/* What firmware does with the loader's commands. */
static void tables_link(struct hvm_acpi_tables *t, uint64_t gpa)
{
	for (unsigned int i = 0; i < t->nr_pointers; i++) {
		uint64_t v = 0;

		memcpy(&v, t->data + t->pointer[i].off, t->pointer[i].size);
		v += gpa;
		memcpy(t->data + t->pointer[i].off, &v, t->pointer[i].size);
	}
	for (unsigned int i = 0; i < t->nr_tables; i++) {
		struct acpi_header *h = (struct acpi_header *)(t->data + t->table[i].off);

		h->checksum = checksum(h, t->table[i].len);
	}
	t->rsdp.xsdt += gpa;
	t->rsdp.checksum = checksum(&t->rsdp, ACPI_RSDP_V1_LEN);
	t->rsdp.ext_checksum = checksum(&t->rsdp, sizeof(t->rsdp));
}

int hvm_acpi_write(const struct hvm_acpi_config *cfg, const struct guest_mem *mem, uint64_t *rsdp,
		   struct hv_err *err)
{
	uint8_t *p = guest_mem_ptr(mem, HVM_ACPI_BASE, HVM_ACPI_SIZE);
	struct hvm_acpi_tables t;
	int ret;

	if (!p)
		return hv_err_set(err, -EINVAL, "no memory for the ACPI tables");
	ret = hvm_acpi_build(cfg, &t, err);
	if (ret)
		return ret;
	tables_link(&t, HVM_ACPI_BASE + TABLE_ALIGN);
	memset(p, 0, HVM_ACPI_SIZE);
	memcpy(p, &t.rsdp, sizeof(t.rsdp));
	memcpy(p + TABLE_ALIGN, t.data, t.len);
	hvm_acpi_free(&t);
	*rsdp = HVM_ACPI_BASE;
	return 0;
}
