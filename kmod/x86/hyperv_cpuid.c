// SPDX-License-Identifier: GPL-2.0-only
/* KVM_GET_SUPPORTED_HV_CPUID: what of Hyper-V's interface guests can have. */
#include <linux/cpu.h>
#include <linux/string.h>

#include "hyperv.h"

/* "Linux KVM Hv": what the interface has been called by KVM, and what programs know. */
#define HV_NAME_EBX	0x756e694c
#define HV_NAME_ECX	0x564b2078
#define HV_NAME_EDX	0x7648204d

/* Hyper-V 2016. */
#define HV_BUILD	0x00003839
#define HV_VERSION	0x000a0000

/* How often a spinlock is tried before the guest says so: as Hyper-V 2016. */
#define HV_SPIN_RETRIES	0xfff

static void hv_features(struct kvm_cpuid_entry2 *e, bool lapic)
{
	e->eax = TLFS_VP_RUNTIME | TLFS_TIME_REF_COUNT | TLFS_SYNIC | TLFS_SYNTIMERS |
		 TLFS_APIC_MSRS | TLFS_HYPERCALL_MSRS | TLFS_VP_INDEX | TLFS_RESET |
		 TLFS_REFERENCE_TSC | TLFS_FREQUENCY_MSRS | TLFS_REENLIGHTENMENT |
		 TLFS_TSC_INVARIANT;
	e->ebx = TLFS_POST_MESSAGES | TLFS_SIGNAL_EVENTS | TLFS_DEBUGGING |
		 TLFS_EXTENDED_HYPERCALLS;
	e->edx = TLFS_GUEST_DEBUGGING | TLFS_XMM_INPUT | TLFS_FREQUENCY_MSRS_HERE |
		 TLFS_CRASH_MSRS | TLFS_DEBUG_MSRS | TLFS_EXT_GVA_RANGES;
	if (lapic)
		e->edx |= TLFS_DIRECT_SYNTIMERS;
}

static void hv_hints(struct kvm_cpuid_entry2 *e, bool lapic)
{
	e->eax = TLFS_HINT_REMOTE_TLB_FLUSH | TLFS_HINT_APIC_MSRS | TLFS_HINT_RELAXED_TIMING |
		 TLFS_HINT_EX_MASKS | TLFS_HINT_NO_AUTO_EOI;
	if (lapic)
		e->eax |= TLFS_HINT_CLUSTER_IPI;
	if (!cpu_smt_possible())
		e->eax |= TLFS_HINT_NO_CORE_SHARING;
	e->ebx = HV_SPIN_RETRIES;
}

static void hv_name(struct kvm_cpuid_entry2 *e, u32 max)
{
	e->eax = max;
	e->ebx = HV_NAME_EBX;
	e->ecx = HV_NAME_ECX;
	e->edx = HV_NAME_EDX;
}

int hv_hyperv_cpuid(const struct hv_vcpu *vcpu, struct kvm_cpuid_entry2 *entries, u32 nr)
{
	static const u32 leaves[] = {
		TLFS_CPUID_VENDOR, TLFS_CPUID_INTERFACE, TLFS_CPUID_VERSION, TLFS_CPUID_FEATURES,
		TLFS_CPUID_HINTS, TLFS_CPUID_LIMITS, TLFS_CPUID_DEBUG_VENDOR,
		TLFS_CPUID_DEBUG_INTERFACE, TLFS_CPUID_DEBUG_FEATURES, TLFS_CPUID_NESTED,
	};
	/* Without a vCPU at hand: as if it had a local APIC. */
	bool lapic = !vcpu || vcpu->lapic;
	unsigned int i;

	BUILD_BUG_ON(ARRAY_SIZE(leaves) != HV_HYPERV_LEAVES);
	if (nr < ARRAY_SIZE(leaves))
		return -E2BIG;
	for (i = 0; i < ARRAY_SIZE(leaves); i++) {
		struct kvm_cpuid_entry2 *e = &entries[i];

		*e = (struct kvm_cpuid_entry2) { .function = leaves[i] };
		switch (leaves[i]) {
		case TLFS_CPUID_VENDOR:
			hv_name(e, TLFS_CPUID_DEBUG_FEATURES);
			break;
		case TLFS_CPUID_INTERFACE:
			e->eax = TLFS_INTERFACE;
			break;
		case TLFS_CPUID_VERSION:
			e->eax = HV_BUILD;
			e->ebx = HV_VERSION;
			break;
		case TLFS_CPUID_FEATURES:
			hv_features(e, lapic);
			break;
		case TLFS_CPUID_HINTS:
			hv_hints(e, lapic);
			break;
		case TLFS_CPUID_LIMITS:
			e->eax = HV_MAX_VCPUS;
			e->ebx = 64;		/* logical processors, as Hyper-V 2016 */
			break;
		case TLFS_CPUID_DEBUG_VENDOR:
			hv_name(e, 0);
			break;
		case TLFS_CPUID_DEBUG_INTERFACE:
			e->eax = TLFS_DEBUG_INTERFACE;
			break;
		case TLFS_CPUID_DEBUG_FEATURES:
			e->eax = TLFS_DEBUG_KERNEL;
			break;
		case TLFS_CPUID_NESTED:
			/*
			 * A promise to hypervisors in the guest, which have no SVM or VMX here to
			 * make use of it; programs take it for granted.
			 */
			e->eax = TLFS_NESTED_MSR_BITMAP;
			break;
		}
	}
	return ARRAY_SIZE(leaves);
}
