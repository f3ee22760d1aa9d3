/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_ACPI_H
#define HVM_ACPI_H

#include <stddef.h>
#include <stdint.h>

#include "../../virtio-backends/guest_mem.h"
#include "../../virtio-backends/util/err.h"
#include "acpi_defs.h"

/*
 * The ACPI tables (ACPI 6.5): RSDP, XSDT, FADT, FACS, MADT, MCFG, the DSDT compiled from dsdt.asl,
 * and an SSDT with what depends on the configuration.
 *
 * They are built as if at address 0, with a list of what refers to what: a directly booted kernel
 * gets them at HVM_ACPI_BASE, firmware puts them where it likes (acpi_loader.c).
 */
struct hvm_acpi_window {
	uint64_t base, size;	/* size 0: none */
};

struct hvm_acpi_config {
	unsigned int cpus;
	uint64_t ecam_base;	/* of bus 0; 0: there is none */
	struct hvm_acpi_window mem32[2];	/* PCI's below 4 GiB; the first is not empty */
	struct hvm_acpi_window mem64;		/* above RAM */
};

#define HVM_ACPI_POINTERS	16
#define HVM_ACPI_TABLES		8

struct hvm_acpi_tables {
	struct acpi_rsdp rsdp;
	uint8_t *data;		/* all others; NULL: not built */
	size_t len;
	uint32_t xsdt;		/* offsets from here on are into data */
	/* Addresses to which that of data must be added. */
	struct {
		uint32_t off;
		uint8_t size;	/* bytes */
	} pointer[HVM_ACPI_POINTERS];
	unsigned int nr_pointers;
	/* Tables, whose checksum is still to be set. */
	struct {
		uint32_t off, len;
	} table[HVM_ACPI_TABLES];
	unsigned int nr_tables;
};

/* -ENOSPC: too many processors. Its length depends on the number of processors alone. */
int hvm_acpi_build(const struct hvm_acpi_config *cfg, struct hvm_acpi_tables *t,
		   struct hv_err *err);
void hvm_acpi_free(struct hvm_acpi_tables *t);
/* Build them at HVM_ACPI_BASE; *@rsdp is where the root is. */
int hvm_acpi_write(const struct hvm_acpi_config *cfg, const struct guest_mem *mem, uint64_t *rsdp,
		   struct hv_err *err);

#endif
