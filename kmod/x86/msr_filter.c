// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSRs that user space decides about: which of them the guest may access (KVM_X86_SET_MSR_FILTER),
 * and accesses that user space answers in the kernel's place (KVM_CAP_X86_USER_SPACE_MSR).
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../irq/irq.h"
#include "msr_defs.h"
#include "x86.h"

#define HV_FILTER_ACCESS	(KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE)

struct hv_msr_range {
	u32 flags, base, nmsrs;
	unsigned long *bitmap;		/* 1: allowed */
};

/* Never changed, only replaced under vm->slots_lock; read under vm->srcu. */
struct hv_msr_filter {
	bool deny;			/* what no range is about */
	u32 nr;
	struct hv_msr_range range[KVM_MSR_FILTER_MAX_RANGES];
};

/* ---- the filter ------------------------------------------------------------------------------ */

bool hv_msr_allowed(const struct hv_vm *vm, u32 index, u32 access)
{
	const struct hv_msr_filter *filter = srcu_dereference(vm->msr_filter, &vm->srcu);
	u32 i;

	/* x2APIC registers are the interrupt controller's business, as in KVM. */
	if (likely(!filter) || index - HV_MSR_X2APIC_FIRST < HV_MSR_X2APIC_COUNT)
		return true;
	for (i = 0; i < filter->nr; i++) {
		const struct hv_msr_range *r = &filter->range[i];

		if (index - r->base < r->nmsrs && (r->flags & access))
			return test_bit(index - r->base, r->bitmap);
	}
	return !filter->deny;
}

static void hv_filter_destroy(struct hv_msr_filter *filter)
{
	u32 i;

	if (!filter)
		return;
	for (i = 0; i < filter->nr; i++)
		kfree(filter->range[i].bitmap);
	kfree(filter);
}

void hv_msr_filter_free(struct hv_vm *vm)
{
	hv_filter_destroy(rcu_dereference_protected(vm->msr_filter, true));
}

static int hv_filter_add(struct hv_msr_filter *filter, const struct kvm_msr_filter_range *user)
{
	struct hv_msr_range *r = &filter->range[filter->nr];
	size_t size = BITS_TO_LONGS((u64)user->nmsrs) * sizeof(long);

	if (!user->nmsrs)
		return 0;
	if (!user->flags || (user->flags & ~HV_FILTER_ACCESS) ||
	    size > KVM_MSR_FILTER_MAX_BITMAP_SIZE)
		return -EINVAL;
	r->bitmap = memdup_user(user->bitmap, size);
	if (IS_ERR(r->bitmap))
		return PTR_ERR(r->bitmap);
	r->flags = user->flags;
	r->base = user->base;
	r->nmsrs = user->nmsrs;
	filter->nr++;
	return 0;
}

static struct hv_msr_filter *hv_filter_build(const struct kvm_msr_filter *user)
{
	struct hv_msr_filter *filter = kzalloc(sizeof(*filter), GFP_KERNEL_ACCOUNT);
	unsigned int i;
	int r = 0;

	if (!filter)
		return ERR_PTR(-ENOMEM);
	filter->deny = user->flags & KVM_MSR_FILTER_DEFAULT_DENY;
	for (i = 0; i < ARRAY_SIZE(user->ranges) && !r; i++)
		r = hv_filter_add(filter, &user->ranges[i]);
	/* Denying everything is taken for a mistake. */
	if (!r && filter->deny && !filter->nr)
		r = -EINVAL;
	if (r) {
		hv_filter_destroy(filter);
		return ERR_PTR(r);
	}
	return filter;
}

int hv_msr_filter_set(struct hv_vm *vm, const struct kvm_msr_filter __user *arg)
{
	struct hv_msr_filter *filter, *old;
	struct kvm_msr_filter user;

	if (copy_from_user(&user, arg, sizeof(user)))
		return -EFAULT;
	if (user.flags & ~KVM_MSR_FILTER_DEFAULT_DENY)
		return -EINVAL;
	filter = hv_filter_build(&user);
	if (IS_ERR(filter))
		return PTR_ERR(filter);
	mutex_lock(&vm->slots_lock);
	old = rcu_dereference_protected(vm->msr_filter, lockdep_is_held(&vm->slots_lock));
	rcu_assign_pointer(vm->msr_filter, filter);
	/* Those that the CPU lets through without an exit follow: see hv_requests_slow(). */
	hv_request_all(vm, HV_REQ_UPDATE);
	hv_vcpus_quiesce(vm);
	mutex_unlock(&vm->slots_lock);
	hv_filter_destroy(old);
	return 0;
}

/* ---- the guest's accesses ------------------------------------------------------------------ */

int hv_msr_guest_get(struct hv_vcpu *vcpu, u32 index, u64 *value)
{
	if (!hv_msr_allowed(vcpu->vm, index, KVM_MSR_FILTER_READ))
		return HV_MSR_FILTERED;
	return hv_msr_get(vcpu, index, value, false);
}

int hv_msr_guest_set(struct hv_vcpu *vcpu, u32 index, u64 value, bool may_sleep)
{
	if (!hv_msr_allowed(vcpu->vm, index, KVM_MSR_FILTER_WRITE))
		return HV_MSR_FILTERED;
	return hv_msr_set(vcpu, index, value, false, may_sleep);
}

static u32 hv_msr_exit_reason(int why)
{
	switch (why) {
	case HV_MSR_FILTERED:
		return KVM_MSR_EXIT_REASON_FILTER;
	case HV_MSR_UNKNOWN:
		return KVM_MSR_EXIT_REASON_UNKNOWN;
	default:
		return KVM_MSR_EXIT_REASON_INVAL;
	}
}

bool hv_msr_to_user(struct hv_vcpu *vcpu, bool write, u32 index, u64 value, int why, u64 next_rip)
{
	u32 reason = hv_msr_exit_reason(why);
	struct kvm_run *run = vcpu->run;

	if (likely(!(READ_ONCE(vcpu->vm->user_msr_reasons) & reason)))
		return false;
	vcpu->msr_exit = (struct hv_msr_exit) {
		.active = true, .write = write, .rip = vcpu->regs.rip, .next_rip = next_rip,
	};
	run->exit_reason = write ? KVM_EXIT_X86_WRMSR : KVM_EXIT_X86_RDMSR;
	run->msr.error = 0;
	memset(run->msr.pad, 0, sizeof(run->msr.pad));
	run->msr.reason = reason;
	run->msr.index = index;
	run->msr.data = write ? value : 0;
	return true;
}

int hv_msr_complete(struct hv_vcpu *vcpu)
{
	struct hv_msr_exit *exit = &vcpu->msr_exit;
	u64 value = READ_ONCE(vcpu->run->msr.data);

	exit->active = false;
	if (vcpu->regs.rip != exit->rip)
		return HV_NEXT_RESUME;	/* user space set the registers: not ours any more */
	if (READ_ONCE(vcpu->run->msr.error)) {
		hv_queue_gp(vcpu);
		return HV_NEXT_RESUME;
	}
	if (!exit->write) {
		vcpu->regs.gpr[HV_RAX] = (u32)value;
		vcpu->regs.gpr[HV_RDX] = value >> 32;
	}
	hv_retire(vcpu, exit->next_rip);
	return HV_NEXT_RESUME;
}
