/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Local APIC registers: Intel SDM vol. 3, chapter "Advanced Programmable Interrupt Controller"
 * (11.4.1 for the map, 11.12 for x2APIC), AMD APM vol. 2, chapter 16.
 */
#ifndef HV_IRQ_LAPIC_DEFS_H
#define HV_IRQ_LAPIC_DEFS_H

#include <linux/bits.h>

/* IA32_APIC_BASE (SDM 11.4.4) */
#define HV_APIC_BASE_BSP	BIT(8)
#define HV_APIC_BASE_X2APIC	BIT(10)
#define HV_APIC_BASE_ENABLE	BIT(11)
#define HV_APIC_BASE_RESERVED	0x2ffULL	/* bits 0-7 and 9 */
#define HV_APIC_BASE_ADDR	(~0xfffULL)
#define HV_APIC_DEFAULT_BASE	0xfee00000ULL

/* Offsets in the register page (SDM 11.4.1, table 11-1) */
#define HV_APIC_ID		0x020
#define HV_APIC_VERSION		0x030
#define HV_APIC_TPR		0x080
#define HV_APIC_APR		0x090
#define HV_APIC_PPR		0x0a0
#define HV_APIC_EOI		0x0b0
#define HV_APIC_RRD		0x0c0
#define HV_APIC_LDR		0x0d0
#define HV_APIC_DFR		0x0e0
#define HV_APIC_SPIV		0x0f0
#define HV_APIC_ISR		0x100	/* 8 registers of 32 vectors each, 0x10 apart */
#define HV_APIC_TMR		0x180
#define HV_APIC_IRR		0x200
#define HV_APIC_ESR		0x280
#define HV_APIC_LVT_CMCI	0x2f0
#define HV_APIC_ICR		0x300
#define HV_APIC_ICR2		0x310
#define HV_APIC_LVT_TIMER	0x320
#define HV_APIC_LVT_THERMAL	0x330
#define HV_APIC_LVT_PERF	0x340
#define HV_APIC_LVT_LINT0	0x350
#define HV_APIC_LVT_LINT1	0x360
#define HV_APIC_LVT_ERROR	0x370
#define HV_APIC_TMICT		0x380
#define HV_APIC_TMCCT		0x390
#define HV_APIC_TDCR		0x3e0
#define HV_APIC_SELF_IPI	0x3f0	/* x2APIC only */

#define HV_APIC_MSR_BASE	0x800	/* x2APIC: MSR 0x800 + offset / 16 */

/* Version register: an integrated APIC with six LVT entries (SDM 11.4.8) */
#define HV_APIC_VERSION_VALUE	0x00050014U
#define HV_APIC_VERSION_ONE_LVT	0x00010000U	/* an entry more */
#define HV_APIC_VERSION_DIRECTED_EOI	BIT(24)

/* Spurious vector register (SDM 11.9) */
#define HV_APIC_SPIV_ENABLE	BIT(8)
#define HV_APIC_SPIV_FOCUS	BIT(9)
#define HV_APIC_SPIV_DIRECTED_EOI	BIT(12)

/* Destination format (SDM 11.6.2.2) */
#define HV_APIC_DFR_FLAT	0xffffffffU
#define HV_APIC_DFR_CLUSTER	0x0fffffffU

/* Local vector table (SDM 11.5.1) */
#define HV_APIC_LVT_VECTOR	0xffU
#define HV_APIC_LVT_MODE	GENMASK(10, 8)
#define HV_APIC_LVT_STATUS	BIT(12)
#define HV_APIC_LVT_POLARITY	BIT(13)
#define HV_APIC_LVT_REMOTE_IRR	BIT(14)
#define HV_APIC_LVT_LEVEL	BIT(15)
#define HV_APIC_LVT_MASKED	BIT(16)
#define HV_APIC_LVT_TIMER_MODE	GENMASK(18, 17)
#define HV_APIC_TIMER_ONESHOT	0U
#define HV_APIC_TIMER_PERIODIC	BIT(17)
#define HV_APIC_TIMER_DEADLINE	BIT(18)

/* Delivery modes (SDM 11.5.1, 11.6.1): bits 10:8 of LVT, ICR, MSI data, IOAPIC entry */
enum hv_apic_mode {
	HV_APIC_FIXED, HV_APIC_LOWEST, HV_APIC_SMI, HV_APIC_REMOTE_READ,
	HV_APIC_NMI, HV_APIC_INIT, HV_APIC_SIPI, HV_APIC_EXTINT
};

/* Interrupt command register (SDM 11.6.1) */
#define HV_APIC_ICR_LOGICAL	BIT(11)
#define HV_APIC_ICR_BUSY	BIT(12)
#define HV_APIC_ICR_ASSERT	BIT(14)
#define HV_APIC_ICR_LEVEL	BIT(15)
#define HV_APIC_ICR_SHORTHAND_SHIFT	18
/* Reserved in x2APIC mode: bits 31:20, 17:16 and 13 (SDM 11.12.9) */
#define HV_APIC_ICR_X2_RESERVED	0xfff32000ULL
enum hv_apic_shorthand { HV_APIC_NO_SHORTHAND, HV_APIC_SELF, HV_APIC_ALL, HV_APIC_OTHERS };

/* Error status (SDM 11.5.3) */
#define HV_APIC_ESR_SEND_ILLEGAL	BIT(5)
#define HV_APIC_ESR_RECV_ILLEGAL	BIT(6)
#define HV_APIC_ESR_ILLEGAL_REG		BIT(7)

#define HV_APIC_BROADCAST	0xffU
#define HV_APIC_X2_BROADCAST	0xffffffffU

/* The timer's input clock unless user space says otherwise: ns per tick. */
#define HV_APIC_BUS_NS		1
#define HV_APIC_MAX_DIVISOR	128

#endif
