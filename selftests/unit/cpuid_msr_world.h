/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One vCPU of the module's CPUID, MSR and register code in user space. The host's CPUID is what the
 * test says; the vendor's control block is an array.
 */
#ifndef HV_TEST_CPUID_MSR_WORLD_H
#define HV_TEST_CPUID_MSR_WORLD_H

#include <linux/srcu.h>
#include "x86/cpuid_policy.h"
#include "x86/x86.h"
#include "unit_test.h"

extern struct hv_vm cm_vm;
extern struct hv_vcpu cm_vcpu;
extern unsigned int cm_updates;			/* calls of ops->update() */
extern unsigned int cm_hyperv;			/* calls of hv_hyperv_vcpu_prepare() */
extern unsigned int cm_cmcis;			/* ... of hv_lapic_cmci() */
extern bool cm_hide_invariant_tsc;		/* what hv_hyperv_hides_invariant_tsc() says */
extern unsigned int cm_flushes;			/* requests for a TLB flush taken */

/* Answers of the host's CPUID; all else is zero. */
void cm_host_set(u32 function, u32 index, u32 eax, u32 ebx, u32 ecx, u32 edx);
void cm_host_clear(void);
/* A host like QEMU's "max" (AMD), or one that has everything a bit can say. */
void cm_host_typical(void);
void cm_host_full(void);

/* Load the module's policy for the host and make one vCPU without CPUID. */
void cm_start(void);
void cm_stop(void);
/* KVM_SET_CPUID2 with all that is offered. */
int cm_set_supported(void);
struct kvm_cpuid_entry2 *cm_supported(u32 *nr);	/* of the last cm_set_supported() */

struct cm_test {
	const char *name;
	void (*run)(void);
};
int cm_main(const struct cm_test *tests, unsigned int n);

#endif
