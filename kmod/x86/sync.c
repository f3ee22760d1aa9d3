// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_CAP_SYNC_REGS: register state in the page shared with user space, which saves ioctls. User
 * space may write the page at any time: each part is copied once, and checked in the copy.
 */
#include "x86.h"

#define HV_SYNC_FIELDS	(KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)
static_assert(HV_SYNC_FIELDS == KVM_SYNC_X86_VALID_FIELDS);

int hv_sync_check(const struct kvm_run *run)
{
	u64 asked = READ_ONCE(run->kvm_valid_regs) | READ_ONCE(run->kvm_dirty_regs);

	return asked & ~(u64)HV_SYNC_FIELDS ? -EINVAL : 0;
}

/* Before the guest runs: take what user space has changed. */
int hv_sync_load(struct hv_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u64 dirty = READ_ONCE(run->kvm_dirty_regs);

	if (likely(!dirty))
		return 0;
	if (dirty & KVM_SYNC_X86_REGS) {
		struct kvm_regs regs = run->s.regs.regs;

		hv_regs_set(vcpu, &regs);
	}
	if (dirty & KVM_SYNC_X86_SREGS) {
		struct kvm_sregs sregs = run->s.regs.sregs;

		barrier();
		if (hv_sregs_set(vcpu, &sregs))
			return -EINVAL;
	}
	if (dirty & KVM_SYNC_X86_EVENTS) {
		struct kvm_vcpu_events events = run->s.regs.events;

		barrier();
		if (hv_events_set(vcpu, &events))
			return -EINVAL;
	}
	run->kvm_dirty_regs &= ~dirty;
	return 0;
}

/* After it ran: show what user space asks for. */
void hv_sync_store(struct hv_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u64 valid = READ_ONCE(run->kvm_valid_regs);

	if (likely(!valid))
		return;
	if (valid & KVM_SYNC_X86_REGS)
		hv_regs_get(vcpu, &run->s.regs.regs);
	if (valid & KVM_SYNC_X86_SREGS)
		hv_sregs_get(vcpu, &run->s.regs.sregs);
	if (valid & KVM_SYNC_X86_EVENTS)
		hv_events_get(vcpu, &run->s.regs.events);
}
