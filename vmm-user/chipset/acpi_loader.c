// SPDX-License-Identifier: GPL-2.0-or-later
/* Commands with which firmware installs the ACPI tables; see acpi_loader.h. */
#include "acpi_loader.h"

#include <stdio.h>
#include <string.h>

#define TABLES_ALIGN	64	/* of the FACS (ACPI 6.5, 5.2.10) */
#define RSDP_ALIGN	16	/* ACPI 6.5, 5.2.5.1 */

static void put_name(char *to, const char *name)
{
	snprintf(to, ACPI_LOADER_FILE_LEN, "%s", name);
}

static void put_allocate(struct acpi_loader_entry *e, const char *file, uint32_t align,
			 enum acpi_loader_zone zone)
{
	e->command = ACPI_LOADER_ALLOCATE;
	put_name(e->allocate.file, file);
	e->allocate.align = align;
	e->allocate.zone = zone;
}

static void put_pointer(struct acpi_loader_entry *e, const char *file, uint32_t offset,
			uint8_t size)
{
	e->command = ACPI_LOADER_ADD_POINTER;
	put_name(e->pointer.file, file);
	put_name(e->pointer.pointee, HVM_ACPI_FILE_TABLES);
	e->pointer.offset = offset;
	e->pointer.size = size;
}

static void put_checksum(struct acpi_loader_entry *e, const char *file, uint32_t offset,
			 uint32_t start, uint32_t length)
{
	e->command = ACPI_LOADER_ADD_CHECKSUM;
	put_name(e->checksum.file, file);
	e->checksum.offset = offset;
	e->checksum.start = start;
	e->checksum.length = length;
}

unsigned int hvm_acpi_loader(const struct hvm_acpi_tables *t,
			     struct acpi_loader_entry entry[ACPI_LOADER_MAX])
{
	struct acpi_loader_entry *e = entry;

	memset(entry, 0, ACPI_LOADER_MAX * sizeof(*entry));
	put_allocate(e++, HVM_ACPI_FILE_TABLES, TABLES_ALIGN, ACPI_LOADER_HIGH);
	/* Systems started by a BIOS look for it in the segment 0xf000. */
	put_allocate(e++, HVM_ACPI_FILE_RSDP, RSDP_ALIGN, ACPI_LOADER_FSEG);
	for (unsigned int i = 0; i < t->nr_pointers; i++)
		put_pointer(e++, HVM_ACPI_FILE_TABLES, t->pointer[i].off, t->pointer[i].size);
	put_pointer(e++, HVM_ACPI_FILE_RSDP, offsetof(struct acpi_rsdp, xsdt),
		    sizeof(t->rsdp.xsdt));
	/* Checksums come last: pointers change what they are of. */
	for (unsigned int i = 0; i < t->nr_tables; i++)
		put_checksum(e++, HVM_ACPI_FILE_TABLES,
			     t->table[i].off + offsetof(struct acpi_header, checksum),
			     t->table[i].off, t->table[i].len);
	put_checksum(e++, HVM_ACPI_FILE_RSDP, offsetof(struct acpi_rsdp, checksum), 0,
		     ACPI_RSDP_V1_LEN);
	put_checksum(e++, HVM_ACPI_FILE_RSDP, offsetof(struct acpi_rsdp, ext_checksum), 0,
		     sizeof(t->rsdp));
	return (unsigned int)(e - entry);
}
