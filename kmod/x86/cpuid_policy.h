/* SPDX-License-Identifier: GPL-2.0-only */
/* What hv offers of the host's CPUID; kernel-independent. */
#ifndef HV_X86_CPUID_POLICY_H
#define HV_X86_CPUID_POLICY_H

#include <linux/types.h>

enum hv_cpuid_reg { HV_CPUID_EAX, HV_CPUID_EBX, HV_CPUID_ECX, HV_CPUID_EDX };

struct hv_cpuid_leaf {
	u32 function, index;
	u32 reg[4];		/* enum hv_cpuid_reg */
	bool has_index;		/* the sub-leaf number matters */
};

/* The host as the policy sees it. */
struct hv_cpuid_host {
	/* Execute CPUID; bits that the host's kernel has turned off are clear. */
	void (*read)(u32 function, u32 index, u32 reg[4]);
	u64 xcr0;		/* components guests may enable; 0: no XSAVE */
	bool pku;
	bool umip;		/* whatever the CPU has */
	u32 tdp_bits;		/* width of the addresses that second-level tables translate */
};

/*
 * Fill at most @room leaves; the number there are, which may be more than @room.
 */
u32 hv_cpuid_policy(const struct hv_cpuid_host *host, struct hv_cpuid_leaf *leaf, u32 room);

/* Bytes of a XSAVE area with the components of @xcr0, standard or compacted format. */
u32 hv_cpuid_xsave_size(const struct hv_cpuid_host *host, u64 xcr0, bool compacted);

/* Features of the paravirtual leaf 0x40000001, EAX (asm/kvm_para.h). */
#define HV_PV_CLOCKSOURCE		0x00000001
#define HV_PV_NOP_IO_DELAY		0x00000002
#define HV_PV_CLOCKSOURCE2		0x00000008
#define HV_PV_ASYNC_PF			0x00000010
#define HV_PV_STEAL_TIME		0x00000020
#define HV_PV_EOI			0x00000040
#define HV_PV_UNHALT			0x00000080
#define HV_PV_TLB_FLUSH			0x00000200
#define HV_PV_SEND_IPI			0x00000800
#define HV_PV_POLL_CONTROL		0x00001000
#define HV_PV_SCHED_YIELD		0x00002000
#define HV_PV_ASYNC_PF_INT		0x00004000
#define HV_PV_CLOCKSOURCE_STABLE	0x01000000
#define HV_PV_FEATURES	(HV_PV_CLOCKSOURCE | HV_PV_NOP_IO_DELAY | HV_PV_CLOCKSOURCE2 | \
			 HV_PV_ASYNC_PF | HV_PV_ASYNC_PF_INT | \
			 HV_PV_STEAL_TIME | HV_PV_EOI | HV_PV_UNHALT | HV_PV_TLB_FLUSH | \
			 HV_PV_SEND_IPI | HV_PV_POLL_CONTROL | HV_PV_SCHED_YIELD | \
			 HV_PV_CLOCKSOURCE_STABLE)

#define HV_CPUID_PV_BASE	0x40000000
#define HV_CPUID_PV_LIMIT	0x40010000	/* guests look for it from the base up to here... */
#define HV_CPUID_PV_STEP	0x100		/* ... in these steps */
#define HV_CPUID_PV_EBX		0x4b4d564b	/* "KVMKVMKVM" */
#define HV_CPUID_PV_ECX		0x564b4d56
#define HV_CPUID_PV_EDX		0x0000004d
#define HV_CPUID_PV_FEATURES	0x40000001
#define HV_CPUID_EXT_BASE	0x80000000
#define HV_CPUID_MAX_BASIC	0x1f
#define HV_CPUID_MAX_EXT	0x80000022

#endif
