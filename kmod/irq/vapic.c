// SPDX-License-Identifier: GPL-2.0-only
/*
 * Help for guests that access the task priority by memory, and often: user space patches their
 * code to use a word in guest memory in its place. KVM_TPR_ACCESS_REPORTING tells it where that
 * code is, and KVM_SET_VAPIC_ADDR where the word is, which is kept in step with the APIC at each
 * entry and exit.
 */
#include <linux/mm.h>

#include "chips.h"

/* The word: TPR, a byte that is 0, the class in service, the highest vector requested. */
static u32 hv_vapic_word(struct hv_lapic *l)
{
	int irr = max(hv_lapic_highest_irr(l), 0), isr = max(hv_lapic_highest_isr(l), 0);

	return (hv_apic_read(l, HV_APIC_TPR) & 0xff) | (isr & 0xf0) << 8 | (u32)irr << 24;
}

bool hv_vapic_enter(struct hv_vcpu *vcpu)
{
	u32 word = hv_vapic_word(vcpu->lapic);

	return !hv_guest_write_nofault(vcpu->vm, vcpu->vapic_addr, &word, sizeof(word));
}

void hv_vapic_leave(struct hv_vcpu *vcpu)
{
	u32 word;

	/* Not there now: the guest has not changed it. */
	if (!hv_guest_read_nofault(vcpu->vm, vcpu->vapic_addr, &word, sizeof(word)))
		hv_lapic_set_tpr(vcpu->lapic, word & 0xff);
}

void hv_vapic_fault_in(struct hv_vcpu *vcpu)
{
	u32 word = hv_vapic_word(vcpu->lapic);

	/* The slot is gone, or its memory: the guest goes on with the APIC itself. */
	if (hv_guest_write(vcpu->vm, vcpu->vapic_addr, &word, sizeof(word)))
		vcpu->vapic_addr = 0;
}

int hv_vapic_set_addr(struct hv_vcpu *vcpu, u64 addr)
{
	u64 last = addr + sizeof(u32) - 1;

	if (!vcpu->lapic)
		return -EINVAL;
	if (addr && (last < addr || !hv_slot_find(vcpu->vm, addr >> PAGE_SHIFT) ||
		     !hv_slot_find(vcpu->vm, last >> PAGE_SHIFT)))
		return -EINVAL;
	vcpu->vapic_addr = addr;
	/* The CPU must leave the TPR to software. */
	hv_request(vcpu, HV_REQ_APIC);
	return 0;
}

void hv_tpr_accessed(struct hv_vcpu *vcpu, bool write)
{
	vcpu->tpr_access.rip = vcpu->regs.rip;
	vcpu->tpr_access.write = write;
	hv_request(vcpu, HV_REQ_TPR_ACCESS);
}

void hv_tpr_access_exit(struct hv_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_TPR_ACCESS;
	run->tpr_access.rip = vcpu->tpr_access.rip;
	run->tpr_access.is_write = vcpu->tpr_access.write;
	run->tpr_access.pad = 0;
}
