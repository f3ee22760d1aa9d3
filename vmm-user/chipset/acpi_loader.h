/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_ACPI_LOADER_H
#define HVM_ACPI_LOADER_H

#include "acpi.h"

/*
 * How firmware installs the ACPI tables: it finds them in fw_cfg as two files, whose addresses it
 * chooses, and a third one with commands that say what refers to what (the format of QEMU's
 * etc/table-loader, which SeaBIOS and OVMF execute).
 */
#define HVM_ACPI_FILE_TABLES	"etc/acpi/tables"
#define HVM_ACPI_FILE_RSDP	"etc/acpi/rsdp"
#define HVM_ACPI_FILE_LOADER	"etc/table-loader"

#define ACPI_LOADER_FILE_LEN	56

enum acpi_loader_command {
	ACPI_LOADER_ALLOCATE = 1,
	ACPI_LOADER_ADD_POINTER = 2,
	ACPI_LOADER_ADD_CHECKSUM = 3,
};

enum acpi_loader_zone { ACPI_LOADER_HIGH = 1, ACPI_LOADER_FSEG = 2 };

struct acpi_loader_entry {	/* little-endian */
	uint32_t command;
	union {
		struct {
			char file[ACPI_LOADER_FILE_LEN];
			uint32_t align;
			uint8_t zone;
		} ACPI_PACKED allocate;
		struct {	/* the value at @offset of @file: add the address of @pointee */
			char file[ACPI_LOADER_FILE_LEN];
			char pointee[ACPI_LOADER_FILE_LEN];
			uint32_t offset;
			uint8_t size;
		} ACPI_PACKED pointer;
		struct {	/* the byte at @offset: make [start, start + length) sum up to 0 */
			char file[ACPI_LOADER_FILE_LEN];
			uint32_t offset, start, length;
		} ACPI_PACKED checksum;
		uint8_t pad[124];
	};
} ACPI_PACKED;
_Static_assert(sizeof(struct acpi_loader_entry) == 128, "QEMU's etc/table-loader");

#define ACPI_LOADER_MAX	(2 + HVM_ACPI_POINTERS + 1 + HVM_ACPI_TABLES + 2)

/* The commands for @t; returns their number. */
unsigned int hvm_acpi_loader(const struct hvm_acpi_tables *t,
			     struct acpi_loader_entry entry[ACPI_LOADER_MAX]);

#endif
