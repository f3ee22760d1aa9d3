/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_LAYOUT_H
#define HVM_LAYOUT_H

/*
 * The guest-physical address space and the interrupt lines of hvm's machine, in one place: ACPI
 * tables, boot loaders and devices must agree on them. dsdt.asl repeats the fixed ones.
 */

/*
 * RAM is below the hole, and what does not fit goes on from 4 GiB. The hole begins where firmware
 * expects it: SeaBIOS and OVMF lay PCI's configuration space at 0xb0000000 or 0xe0000000, and
 * devices from 0x80000000 on.
 */
#define HVM_HOLE_START		0x80000000ULL
#define HVM_HOLE_END		0x100000000ULL
#define HVM_MEM_MIN		(32ULL << 20)
#define HVM_MEM_ALIGN		(1ULL << 20)

/* In the hole. Firmware lays PCI's parts of it anew, between RAM and HVM_PCI_FW_END. */
#define HVM_PCI_MMIO_BASE	0xc0000000ULL
#define HVM_PCI_MMIO_SIZE	0x20000000ULL
#define HVM_ECAM_BASE		0xe0000000ULL
#define HVM_ECAM_SIZE		0x00100000ULL	/* one bus */
#define HVM_PCI_FW_END		0xfec00000ULL
#define HVM_IOAPIC_BASE		0xfec00000U
#define HVM_LAPIC_BASE		0xfee00000U
#define HVM_IDENTITY_MAP	0xfeffc000ULL	/* Intel only: one page */
#define HVM_TSS_ADDR		0xfeffd000ULL	/* Intel only: three pages */
#define HVM_FIRMWARE_SIZE_MAX	0x00800000ULL	/* ends at 4 GiB */

/* Above RAM, for large 64-bit BARs. */
#define HVM_PCI_MMIO64_SIZE	(16ULL << 30)
#define HVM_PCI_MMIO64_ALIGN	(1ULL << 30)

/* The first megabyte. What a boot protocol hands over lies in the RAM below HVM_LOW_RAM_END. */
#define HVM_BOOT_GDT		0x00000500ULL
#define HVM_BOOT_PARAMS		0x00007000ULL	/* Linux' zero page, or PVH's start info */
#define HVM_BOOT_PARAMS_SIZE	0x1000ULL
#define HVM_BOOT_PAGE_TABLES	0x00009000ULL	/* PML4, PDPT, four page directories */
#define HVM_BOOT_SETUP_DATA	0x00010000ULL
#define HVM_BOOT_CMDLINE	0x00020000ULL
#define HVM_BOOT_CMDLINE_MAX	0x00010000ULL	/* with its end */
#define HVM_LOW_RAM_END		0x0009fc00ULL
#define HVM_LEGACY_START	0x000a0000ULL
#define HVM_ACPI_BASE		0x000e0000ULL	/* systems look for the RSDP here */
#define HVM_ACPI_SIZE		0x00020000ULL
#define HVM_HIGH_RAM_START	0x00100000ULL
#define HVM_BIOS_SHADOW		0x000c0000ULL	/* copy of the firmware's end, up to 1 MiB */

/* Ports. */
#define HVM_PORT_RTC		0x070
#define HVM_PORT_I8042_CMD	0x064
#define HVM_PORT_POST		0x080
#define HVM_PORT_SERIAL		0x3f8
#define HVM_PORT_FW_CFG		0x510
#define HVM_PORT_PM		0x600	/* PM1 event, PM1 control, PM timer: see pm.h */
#define HVM_PORT_SMI		0x630	/* where firmware of a Q35 looks: PMBASE is HVM_PORT_PM */
#define HVM_PORT_RESET		0xcf9

/* Interrupt lines. */
#define HVM_IOAPIC_PINS		24
#define HVM_GSI_SERIAL		4
#define HVM_GSI_RTC		8
#define HVM_GSI_SCI		9
#define HVM_GSI_PCI		16	/* and the three after it: INTA# of slot n is 16 + n % 4 */

#define HVM_MAX_CPUS		254	/* APIC ids are eight bits wide; 255 is the broadcast id */

#endif
