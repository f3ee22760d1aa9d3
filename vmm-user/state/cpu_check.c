// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Can a guest that has seen one processor go on with another? Its features must all be there.
 * Leaves: AMD APM volume 3, appendix E; Intel SDM volume 2, CPUID.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "machine_state.h"

#define LEAF_VENDOR	0x0u

/* OSXSAVE and OSPKE only repeat CR4, which is the guest's. */
#define ECX1_OSXSAVE	(1u << 27)
#define ECX7_OSPKE	(1u << 4)

enum { EAX, EBX, ECX, EDX };

static const struct {
	uint32_t leaf, index;
	unsigned int reg;
	uint32_t mask;
	const char *name;
} feature_words[] = {
	{ 0x1, 0, ECX, ~ECX1_OSXSAVE, "leaf 1 ECX" },
	{ 0x1, 0, EDX, ~0u, "leaf 1 EDX" },
	{ 0x6, 0, EAX, 1u << 2, "leaf 6 EAX" },		/* the APIC's timer never stops */
	{ 0x7, 0, EBX, ~0u, "leaf 7 EBX" },
	{ 0x7, 0, ECX, ~ECX7_OSPKE, "leaf 7 ECX" },
	{ 0x7, 0, EDX, ~0u, "leaf 7 EDX" },
	{ 0x7, 1, EAX, ~0u, "leaf 7.1 EAX" },
	{ 0x7, 1, EDX, ~0u, "leaf 7.1 EDX" },
	{ 0x7, 2, EDX, ~0u, "leaf 7.2 EDX" },
	{ 0xd, 0, EAX, ~0u, "leaf 0xd EAX" },
	{ 0xd, 0, EDX, ~0u, "leaf 0xd EDX" },
	{ 0xd, 1, EAX, ~0u, "leaf 0xd.1 EAX" },
	{ 0xd, 1, ECX, ~0u, "leaf 0xd.1 ECX" },
	{ 0x40000001, 0, EAX, ~0u, "leaf 0x40000001 EAX" },
	{ 0x80000001, 0, ECX, ~0u, "leaf 0x80000001 ECX" },
	{ 0x80000001, 0, EDX, ~0u, "leaf 0x80000001 EDX" },
	{ 0x80000007, 0, EDX, ~0u, "leaf 0x80000007 EDX" },
	{ 0x80000008, 0, EBX, ~0u, "leaf 0x80000008 EBX" },
	{ 0x8000000a, 0, EDX, ~0u, "leaf 0x8000000a EDX" },
	{ 0x80000021, 0, EAX, ~0u, "leaf 0x80000021 EAX" },
};

static const struct kvm_cpuid_entry2 *find(const struct kvm_cpuid2 *t, uint32_t leaf,
					   uint32_t index)
{
	for (uint32_t i = 0; i < t->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &t->entries[i];

		if (e->function == leaf &&
		    (e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX ? e->index == index : !index))
			return e;
	}
	return NULL;
}

static uint32_t reg(const struct kvm_cpuid_entry2 *e, unsigned int n)
{
	if (!e)
		return 0;
	return n == EAX ? e->eax : n == EBX ? e->ebx : n == ECX ? e->ecx : e->edx;
}

int hvm_cpuid_check(const struct kvm_cpuid2 *have, const struct kvm_cpuid2 *want,
		    struct hv_err *err)
{
	const struct kvm_cpuid_entry2 *h = find(have, LEAF_VENDOR, 0);
	const struct kvm_cpuid_entry2 *w = find(want, LEAF_VENDOR, 0);

	if (!h || !w || h->ebx != w->ebx || h->ecx != w->ecx || h->edx != w->edx)
		return hv_err_set(err, -ENOTSUP, "the guest runs on another maker's processors than "
				  "this host has");
	for (size_t i = 0; i < sizeof(feature_words) / sizeof(feature_words[0]); i++) {
		uint32_t leaf = feature_words[i].leaf, index = feature_words[i].index;
		uint32_t missing = reg(find(want, leaf, index), feature_words[i].reg) &
				   ~reg(find(have, leaf, index), feature_words[i].reg) &
				   feature_words[i].mask;

		if (missing)
			return hv_err_set(err, -ENOTSUP, "the guest uses features of the processor that "
					  "this host does not have (CPUID %s, bits 0x%x)",
					  feature_words[i].name, missing);
	}
	return 0;
}
