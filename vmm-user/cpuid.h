/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_CPUID_H
#define HVM_CPUID_H

#include "accel.h"

/*
 * What CPUID tells the guest: what the hypervisor device supports, with the topology of this
 * guest: one package with as many cores as the guest has processors, one thread each.
 */
struct hvm_cpuid {
	struct kvm_cpuid2 *table;
	unsigned int cap;	/* entries allocated */
	unsigned int cpus;
	unsigned int id_bits;	/* of an APIC id that number the core */
	unsigned int phys_bits;	/* of a guest-physical address */
};

int hvm_cpuid_init(struct hvm_cpuid *c, const struct hvm_accel *accel, unsigned int cpus,
		   struct hv_err *err);
/* The same for a given @supported table (copied); tests use this. */
int hvm_cpuid_build(struct hvm_cpuid *c, const struct kvm_cpuid2 *supported, unsigned int cpus,
		    bool tsc_deadline, struct hv_err *err);
/* Put the APIC id of vCPU @id into the table. */
void hvm_cpuid_for_vcpu(struct hvm_cpuid *c, unsigned int id);
void hvm_cpuid_fini(struct hvm_cpuid *c);

#endif
