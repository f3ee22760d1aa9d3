/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_ACPI_DEFS_H
#define HVM_ACPI_DEFS_H

#include <stddef.h>
#include <stdint.h>

/* Structures of ACPI 6.5; sections are named at each. Everything is little-endian and packed. */

#define ACPI_PACKED __attribute__((packed))

struct acpi_rsdp {		/* 5.2.5.3 */
	char signature[8];
	uint8_t checksum;	/* of the first ACPI_RSDP_V1_LEN bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t ext_checksum;
	uint8_t reserved[3];
} ACPI_PACKED;
_Static_assert(sizeof(struct acpi_rsdp) == 36, "ACPI 6.5, 5.2.5.3");

#define ACPI_RSDP_V1_LEN	20	/* what the first checksum covers */

struct acpi_header {		/* 5.2.6 */
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} ACPI_PACKED;
_Static_assert(sizeof(struct acpi_header) == 36, "ACPI 6.5, 5.2.6");

struct acpi_gas {		/* 5.2.3.2 */
	uint8_t space_id;
	uint8_t bit_width;
	uint8_t bit_offset;
	uint8_t access_size;
	uint64_t address;
} ACPI_PACKED;
_Static_assert(sizeof(struct acpi_gas) == 12, "ACPI 6.5, 5.2.3.2");

#define ACPI_SPACE_IO		1
#define ACPI_ACCESS_BYTE	1
#define ACPI_ACCESS_WORD	2
#define ACPI_ACCESS_DWORD	3

struct acpi_fadt {		/* 5.2.9 */
	struct acpi_header hdr;
	uint32_t facs;
	uint32_t dsdt;
	uint8_t reserved0;
	uint8_t preferred_pm_profile;
	uint16_t sci_int;
	uint32_t smi_cmd;
	uint8_t acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
	uint32_t pm1a_evt_blk, pm1b_evt_blk;
	uint32_t pm1a_cnt_blk, pm1b_cnt_blk;
	uint32_t pm2_cnt_blk, pm_tmr_blk;
	uint32_t gpe0_blk, gpe1_blk;
	uint8_t pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len;
	uint8_t gpe0_blk_len, gpe1_blk_len, gpe1_base, cst_cnt;
	uint16_t p_lvl2_lat, p_lvl3_lat;
	uint16_t flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alrm, mon_alrm, century;
	uint16_t iapc_boot_arch;
	uint8_t reserved1;
	uint32_t flags;
	struct acpi_gas reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_version;
	uint64_t x_facs, x_dsdt;
	struct acpi_gas x_pm1a_evt_blk, x_pm1b_evt_blk;
	struct acpi_gas x_pm1a_cnt_blk, x_pm1b_cnt_blk;
	struct acpi_gas x_pm2_cnt_blk, x_pm_tmr_blk;
	struct acpi_gas x_gpe0_blk, x_gpe1_blk;
	struct acpi_gas sleep_control_reg, sleep_status_reg;
	uint64_t hypervisor_id;
} ACPI_PACKED;
_Static_assert(sizeof(struct acpi_fadt) == 276, "ACPI 6.5, 5.2.9");
_Static_assert(offsetof(struct acpi_fadt, flags) == 112, "ACPI 6.5, 5.2.9");
_Static_assert(offsetof(struct acpi_fadt, x_pm_tmr_blk) == 208, "ACPI 6.5, 5.2.9");

#define FADT_PROFILE_SERVER	4
/* 5.2.9, table 5.10 */
#define FADT_WBINVD		(1u << 0)
#define FADT_PROC_C1		(1u << 2)
#define FADT_SLP_BUTTON		(1u << 5)	/* there is no fixed sleep button */
#define FADT_FIX_RTC		(1u << 6)	/* the clock's alarm is no fixed event */
#define FADT_TMR_VAL_EXT	(1u << 8)
#define FADT_RESET_REG_SUP	(1u << 10)
/* 5.2.9.3 */
#define FADT_BOOT_LEGACY_DEVICES (1u << 0)
#define FADT_BOOT_NO_VGA	(1u << 2)

struct acpi_facs {		/* 5.2.10 */
	char signature[4];
	uint32_t length;
	uint32_t hardware_signature;
	uint32_t waking_vector;
	uint32_t global_lock;
	uint32_t flags;
	uint64_t x_waking_vector;
	uint8_t version;
	uint8_t reserved[31];
} ACPI_PACKED;
_Static_assert(sizeof(struct acpi_facs) == 64, "ACPI 6.5, 5.2.10");

struct acpi_madt {		/* 5.2.12 */
	struct acpi_header hdr;
	uint32_t lapic_addr;
	uint32_t flags;
} ACPI_PACKED;
_Static_assert(sizeof(struct acpi_madt) == 44, "ACPI 6.5, 5.2.12");

#define MADT_PCAT_COMPAT	1u

#define MADT_TYPE_LAPIC		0
#define MADT_TYPE_IOAPIC	1
#define MADT_TYPE_OVERRIDE	2
#define MADT_TYPE_LAPIC_NMI	4

struct acpi_madt_lapic {	/* 5.2.12.2 */
	uint8_t type, length;
	uint8_t processor_uid;
	uint8_t apic_id;
	uint32_t flags;
} ACPI_PACKED;
_Static_assert(sizeof(struct acpi_madt_lapic) == 8, "ACPI 6.5, 5.2.12.2");

#define MADT_LAPIC_ENABLED	1u

struct acpi_madt_ioapic {	/* 5.2.12.3 */
	uint8_t type, length;
	uint8_t ioapic_id;
	uint8_t reserved;
	uint32_t address;
	uint32_t gsi_base;
} ACPI_PACKED;
_Static_assert(sizeof(struct acpi_madt_ioapic) == 12, "ACPI 6.5, 5.2.12.3");

struct acpi_madt_override {	/* 5.2.12.5 */
	uint8_t type, length;
	uint8_t bus;
	uint8_t source;
	uint32_t gsi;
	uint16_t flags;
} ACPI_PACKED;
_Static_assert(sizeof(struct acpi_madt_override) == 10, "ACPI 6.5, 5.2.12.5");

#define MADT_ACTIVE_HIGH	0x1u
#define MADT_LEVEL		0xcu

struct acpi_madt_lapic_nmi {	/* 5.2.12.7 */
	uint8_t type, length;
	uint8_t processor_uid;	/* 0xff: all */
	uint16_t flags;
	uint8_t lint;
} ACPI_PACKED;
_Static_assert(sizeof(struct acpi_madt_lapic_nmi) == 6, "ACPI 6.5, 5.2.12.7");

struct acpi_mcfg {		/* PCI Firmware 3.3, 4.1.2 */
	struct acpi_header hdr;
	uint8_t reserved[8];
	uint64_t base;
	uint16_t segment;
	uint8_t bus_start, bus_end;
	uint32_t reserved1;
} ACPI_PACKED;
_Static_assert(sizeof(struct acpi_mcfg) == 60, "PCI Firmware 3.3, 4.1.2");

/* AML (20.2) */
#define AML_NAME		0x08
#define AML_BYTE		0x0a
#define AML_QWORD		0x0e
#define AML_STRING		0x0d
#define AML_SCOPE		0x10
#define AML_ROOT		0x5c
#define AML_EXT			0x5b
#define AML_EXT_DEVICE		0x82

#endif
