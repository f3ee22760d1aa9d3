/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_ACPI_H
#define HVM_ACPI_H

#include <stdint.h>

#include "../../virtio-backends/guest_mem.h"
#include "../../virtio-backends/util/err.h"

/*
 * The ACPI tables (ACPI 6.5): RSDP, XSDT, FADT, FACS, MADT, MCFG, the DSDT compiled from dsdt.asl,
 * and an SSDT with what depends on the configuration.
 */
struct hvm_acpi_config {
	unsigned int cpus;
	uint64_t pci64_base, pci64_size;	/* window above RAM; size 0: none */
};

/* Write them to HVM_ACPI_BASE; *@rsdp is where the root is. */
int hvm_acpi_write(const struct hvm_acpi_config *cfg, const struct guest_mem *mem, uint64_t *rsdp,
		   struct hv_err *err);

#endif
