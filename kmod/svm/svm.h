/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the SVM backend share. */
#ifndef HV_SVM_H
#define HV_SVM_H

#include "../hv.h"
#include "svm_defs.h"

/*
 * What the world switch needs in one place; enter.S uses the offsets.
 * Speculation control of the guest and of the host while it runs hv.
 */
struct svm_world {
	u64 guest_pa;		/* VMCB */
	u64 host_pa;		/* this CPU's save area for VMSAVE/VMLOAD */
	u32 guest_spec_ctrl;
	u32 host_spec_ctrl;
};
static_assert(offsetof(struct svm_world, guest_pa) == 0);
static_assert(offsetof(struct svm_world, host_pa) == 8);
static_assert(offsetof(struct svm_world, guest_spec_ctrl) == 16);
static_assert(offsetof(struct svm_world, host_spec_ctrl) == 20);

struct svm_vcpu {
	struct hv_vcpu vcpu;		/* first: hv allocates by ops->vcpu_size */
	struct svm_vmcb *vmcb;
	struct svm_world world;
	u64 asid_generation;		/* 0: needs a new ASID */
	void *msrpm;			/* MSR permission map, 8 KiB */
	bool msrs_filtered;		/* user space has set a filter before */
	bool nmi_masked;		/* an NMI was injected, its IRET not seen */
	bool nmi_iret;			/* IRET intercepted, executing it now */
	bool nmi_step;			/* TF is ours, to step over that IRET */
	bool nmi_step_guest_tf;		/* ...and this was the guest's */
	u64 nmi_iret_rip;
	u64 tsc_offset;
};

static inline struct svm_vcpu *to_svm(struct hv_vcpu *vcpu)
{
	return container_of(vcpu, struct svm_vcpu, vcpu);
}

/* Features of CPUID 0x8000000a EDX. */
extern u32 svm_features;

/* Switch to the guest and back; GIF is 0. gpr: enum hv_gpr order (RAX, RSP are in the VMCB). */
void svm_enter(u64 *gpr, struct svm_world *world);

int svm_handle_exit(struct hv_vcpu *vcpu, bool may_sleep);
void svm_update(struct hv_vcpu *vcpu);
void svm_msr_intercept(struct svm_vcpu *svm, u32 msr, bool read, bool write);

static inline void svm_dirty(struct svm_vmcb *vmcb, u32 bits)
{
	vmcb->clean &= ~bits;
}

#endif
