/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hyper-V's interface to guests: numbers and structures of Microsoft's Hypervisor Top-Level
 * Functional Specification (TLFS) 6.0.
 */
#ifndef HV_X86_HYPERV_DEFS_H
#define HV_X86_HYPERV_DEFS_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <linux/types.h>

/* ---- CPUID (TLFS 2.4) ---------------------------------------------------------------------- */

#define TLFS_CPUID_VENDOR		0x40000000
#define TLFS_CPUID_INTERFACE		0x40000001
#define TLFS_CPUID_VERSION		0x40000002
#define TLFS_CPUID_FEATURES		0x40000003
#define TLFS_CPUID_HINTS		0x40000004
#define TLFS_CPUID_LIMITS		0x40000005
#define TLFS_CPUID_NESTED		0x4000000a
#define TLFS_CPUID_DEBUG_VENDOR		0x40000080
#define TLFS_CPUID_DEBUG_INTERFACE	0x40000081
#define TLFS_CPUID_DEBUG_FEATURES	0x40000082
#define TLFS_INTERFACE			0x31237648	/* "Hv#1" */
#define TLFS_DEBUG_INTERFACE		0x31235356	/* "VS#1" */

/* Features, EAX: MSRs */
#define TLFS_VP_RUNTIME			BIT(0)
#define TLFS_TIME_REF_COUNT		BIT(1)
#define TLFS_SYNIC			BIT(2)
#define TLFS_SYNTIMERS			BIT(3)
#define TLFS_APIC_MSRS			BIT(4)
#define TLFS_HYPERCALL_MSRS		BIT(5)
#define TLFS_VP_INDEX			BIT(6)
#define TLFS_RESET			BIT(7)
#define TLFS_REFERENCE_TSC		BIT(9)
#define TLFS_FREQUENCY_MSRS		BIT(11)
#define TLFS_REENLIGHTENMENT		BIT(13)
#define TLFS_TSC_INVARIANT		BIT(15)
/* Features, EBX: hypercalls */
#define TLFS_POST_MESSAGES		BIT(4)
#define TLFS_SIGNAL_EVENTS		BIT(5)
#define TLFS_DEBUGGING			BIT(11)
#define TLFS_EXTENDED_HYPERCALLS	BIT(20)
/* Features, EDX */
#define TLFS_GUEST_DEBUGGING		BIT(1)
#define TLFS_XMM_INPUT			BIT(4)
#define TLFS_FREQUENCY_MSRS_HERE	BIT(8)
#define TLFS_CRASH_MSRS			BIT(10)
#define TLFS_DEBUG_MSRS			BIT(11)
#define TLFS_EXT_GVA_RANGES		BIT(14)
#define TLFS_DIRECT_SYNTIMERS		BIT(19)
/* Hints, EAX */
#define TLFS_HINT_REMOTE_TLB_FLUSH	BIT(2)
#define TLFS_HINT_APIC_MSRS		BIT(3)
#define TLFS_HINT_RELAXED_TIMING	BIT(5)
#define TLFS_HINT_NO_AUTO_EOI		BIT(9)
#define TLFS_HINT_CLUSTER_IPI		BIT(10)
#define TLFS_HINT_EX_MASKS		BIT(11)
#define TLFS_HINT_NO_CORE_SHARING	BIT(18)
#define TLFS_NESTED_MSR_BITMAP		BIT(19)		/* nested leaf, EAX */
#define TLFS_DEBUG_KERNEL		BIT(1)		/* debug leaf, EAX */

#define TLFS_INVARIANT_TSC_BIT		BIT(8)		/* CPUID 0x80000007, EDX */

/* ---- MSRs (TLFS appendix C) ---------------------------------------------------------------- */

#define TLFS_MSR_GUEST_OS_ID		0x40000000
#define TLFS_MSR_HYPERCALL		0x40000001
#define TLFS_MSR_VP_INDEX		0x40000002
#define TLFS_MSR_RESET			0x40000003
#define TLFS_MSR_VP_RUNTIME		0x40000010
#define TLFS_MSR_TIME_REF_COUNT		0x40000020
#define TLFS_MSR_REFERENCE_TSC		0x40000021
#define TLFS_MSR_TSC_FREQUENCY		0x40000022
#define TLFS_MSR_APIC_FREQUENCY		0x40000023
#define TLFS_MSR_EOI			0x40000070
#define TLFS_MSR_ICR			0x40000071
#define TLFS_MSR_TPR			0x40000072
#define TLFS_MSR_VP_ASSIST_PAGE		0x40000073
#define TLFS_MSR_SCONTROL		0x40000080
#define TLFS_MSR_SVERSION		0x40000081
#define TLFS_MSR_SIEFP			0x40000082
#define TLFS_MSR_SIMP			0x40000083
#define TLFS_MSR_EOM			0x40000084
#define TLFS_MSR_SINT0			0x40000090
#define TLFS_MSR_SINT15			0x4000009f
#define TLFS_MSR_STIMER0_CONFIG		0x400000b0	/* config and count of four timers */
#define TLFS_MSR_STIMER3_COUNT		0x400000b7
#define TLFS_MSR_SYNDBG_CONTROL		0x400000f1
#define TLFS_MSR_SYNDBG_STATUS		0x400000f2
#define TLFS_MSR_SYNDBG_SEND		0x400000f3
#define TLFS_MSR_SYNDBG_RECV		0x400000f4
#define TLFS_MSR_SYNDBG_PENDING		0x400000f5
#define TLFS_MSR_SYNDBG_OPTIONS		0x400000ff
#define TLFS_MSR_CRASH_P0		0x40000100
#define TLFS_MSR_CRASH_P4		0x40000104
#define TLFS_MSR_CRASH_CTL		0x40000105
#define TLFS_MSR_REENLIGHTENMENT	0x40000106
#define TLFS_MSR_TSC_EMUL_CONTROL	0x40000107
#define TLFS_MSR_TSC_EMUL_STATUS	0x40000108
#define TLFS_MSR_TSC_INVARIANT		0x40000118

#define TLFS_MSR_FIRST			0x40000000
#define TLFS_MSR_LAST			0x400001ff

#define TLFS_PAGE_ENABLE		1ULL		/* of MSRs that hold a page's address */
#define TLFS_PAGE_ADDR			(~0xfffULL)
#define TLFS_CRASH_NOTIFY		BIT_ULL(63)
#define TLFS_INVARIANT_EXPOSED		1ULL

/* The reference TSC page (TLFS 12.7): 100 ns = (tsc * scale >> 64) + offset. */
struct tlfs_tsc_page {
	u32 sequence;		/* 0: do not use */
	u32 reserved;
	u64 scale;
	s64 offset;
};
static_assert(sizeof(struct tlfs_tsc_page) == 24);

/* ---- hypercalls (TLFS 3) ------------------------------------------------------------------- */

#define TLFS_HC_CODE			0xffffULL
#define TLFS_HC_FAST			BIT_ULL(16)
#define TLFS_HC_VAR_SHIFT		17
#define TLFS_HC_VAR_MASK		0x3ff
#define TLFS_HC_REP_SHIFT		32		/* also of "reps completed" in the result */
#define TLFS_HC_START_SHIFT		48
#define TLFS_HC_REP_MASK		0xfff
#define TLFS_HC_NOT_XEN		BIT_ULL(31)	/* in hv's page, if Xen's calls are there, too */
#define TLFS_HC_RESERVED		(GENMASK_ULL(31, 27) | GENMASK_ULL(47, 44) | \
					 GENMASK_ULL(63, 60))

#define TLFS_HC_FLUSH_SPACE		0x0002
#define TLFS_HC_FLUSH_LIST		0x0003
#define TLFS_HC_LONG_SPIN_WAIT		0x0008
#define TLFS_HC_SEND_IPI		0x000b
#define TLFS_HC_FLUSH_SPACE_EX		0x0013
#define TLFS_HC_FLUSH_LIST_EX		0x0014
#define TLFS_HC_SEND_IPI_EX		0x0015
#define TLFS_HC_POST_MESSAGE		0x005c
#define TLFS_HC_SIGNAL_EVENT		0x005d
#define TLFS_HC_POST_DEBUG_DATA		0x0069
#define TLFS_HC_RETRIEVE_DEBUG_DATA	0x006a
#define TLFS_HC_RESET_DEBUG_SESSION	0x006b
#define TLFS_HC_EXT_FIRST		0x8001		/* query capabilities */
#define TLFS_HC_EXT_LAST		0x8041

enum tlfs_status {
	TLFS_SUCCESS = 0,
	TLFS_INVALID_HYPERCALL_CODE = 2,
	TLFS_INVALID_HYPERCALL_INPUT = 3,
	TLFS_INVALID_ALIGNMENT = 4,
	TLFS_INVALID_PARAMETER = 5,
	TLFS_ACCESS_DENIED = 6,
	TLFS_OPERATION_DENIED = 8,
	TLFS_INVALID_PORT_ID = 17,
};

/* A set of virtual processors: banks of 64, those of the mask in ascending order follow. */
struct tlfs_vp_set {
	u64 format;
	u64 valid_banks;
};
#define TLFS_SET_SPARSE			0
#define TLFS_SET_ALL			1
#define TLFS_SET_BANKS			64

struct tlfs_flush {
	u64 address_space;
	u64 flags;
	u64 vp_mask;
};
struct tlfs_flush_ex {
	u64 address_space;
	u64 flags;
	struct tlfs_vp_set vps;
};
#define TLFS_FLUSH_ALL_VPS		BIT_ULL(0)
static_assert(sizeof(struct tlfs_flush) == 24 && sizeof(struct tlfs_flush_ex) == 32);

struct tlfs_ipi {
	u32 vector;
	u32 reserved;
	u64 vp_mask;
};
struct tlfs_ipi_ex {
	u32 vector;
	u32 reserved;
	struct tlfs_vp_set vps;
};
static_assert(sizeof(struct tlfs_ipi) == 16 && sizeof(struct tlfs_ipi_ex) == 24);

#define TLFS_SYNDBG_BY_HYPERCALLS	BIT_ULL(2)	/* SYNDBG_OPTIONS */

/* ---- SynIC and timers (TLFS 11, 12) -------------------------------------------------------- */

#define TLFS_SINTS			16
#define TLFS_SINT_VECTOR		0xffULL
#define TLFS_SINT_MASKED		BIT_ULL(16)
#define TLFS_SINT_AUTO_EOI		BIT_ULL(17)
#define TLFS_SINT_MIN_VECTOR		16
#define TLFS_SCONTROL_ENABLE		1ULL
#define TLFS_SVERSION			1ULL

struct tlfs_message {
	u32 type;		/* 0: the slot is free */
	u8 payload_size;
	u8 flags;
	u8 reserved[2];
	u64 sender;
	u8 payload[240];
};
static_assert(sizeof(struct tlfs_message) == 256);
static_assert(offsetof(struct tlfs_message, payload) == 16);
#define TLFS_MESSAGE_TIMER		0x80000010U
#define TLFS_MESSAGE_PENDING		BIT(0)		/* flags: write EOM when done */

struct tlfs_timer_payload {
	u32 index;
	u32 reserved;
	u64 expiration;
	u64 delivery;
};
static_assert(sizeof(struct tlfs_timer_payload) == 24);

#define TLFS_STIMERS			4
#define TLFS_STIMER_ENABLE		BIT_ULL(0)
#define TLFS_STIMER_PERIODIC		BIT_ULL(1)
#define TLFS_STIMER_LAZY		BIT_ULL(2)
#define TLFS_STIMER_AUTO_ENABLE		BIT_ULL(3)
#define TLFS_STIMER_VECTOR(config)	((config) >> 4 & 0xff)
#define TLFS_STIMER_DIRECT		BIT_ULL(12)
#define TLFS_STIMER_SINT(config)	((config) >> 16 & 0xf)

#endif
