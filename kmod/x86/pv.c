// SPDX-License-Identifier: GPL-2.0-only
/* Paravirtual interfaces of KVM's ABI other than the clock: hypercalls, steal time. */
#include <linux/kvm_para.h>
#include <linux/sched.h>
#include <asm/kvm_para.h>

#include "../irq/irq.h"
#include "../irq/lapic.h"
#include "../trace.h"
#include "x86.h"

/*
 * KVM_HC_SEND_IPI: one interrupt to up to 128 vCPUs, @low and @high being a bit map of APIC ids
 * from
 * @first on. Returns how many took it.
 */
static u64 hv_hc_send_ipi(struct hv_vcpu *vcpu, u64 low, u64 high, u32 first, u32 icr, bool mode64)
{
	struct hv_apic_irq irq = {
		.vector = icr & 0xff,
		.mode = icr >> 8 & 7,
		.assert = true,
		.dest32 = true,
	};
	unsigned int word_bits = mode64 ? 64 : 32, word, bit;
	unsigned long maps[2] = { low, high };
	u64 taken = 0;

	if (!vcpu->lapic || icr >> HV_APIC_ICR_SHORTHAND_SHIFT & 3)
		return -KVM_EINVAL;
	if (irq.mode != HV_APIC_NMI && (irq.mode != HV_APIC_FIXED || irq.vector < 16))
		return -KVM_EINVAL;
	for (word = 0; word < 2; word++) {
		for_each_set_bit(bit, &maps[word], word_bits) {
			irq.dest = first + word * word_bits + bit;
			if (irq.dest < first)
				return taken;
			if (hv_apic_deliver(vcpu->vm, vcpu->lapic, &irq) > 0)
				taken++;
		}
	}
	return taken;
}

u64 hv_hypercall(struct hv_vcpu *vcpu, u64 nr, u64 a0, u64 a1, u64 a2, u64 a3, bool mode64)
{
	u64 ret;

	if (!mode64) {
		nr = (u32)nr;
		a0 = (u32)a0;
		a1 = (u32)a1;
		a2 = (u32)a2;
		a3 = (u32)a3;
	}
	trace_hv_hypercall(vcpu->id, nr, a0, a1, a2, a3);
	hv_regs_need(vcpu, HV_REGS_CODE);
	if (vcpu->regs.seg[HV_SS].dpl)
		return -KVM_EPERM;
	switch (nr) {
	case KVM_HC_VAPIC_POLL_IRQ:
		ret = 0;
		break;
	case KVM_HC_SEND_IPI:
		ret = hv_hc_send_ipi(vcpu, a0, a1, a2, a3, mode64);
		break;
	default:
		ret = -KVM_ENOSYS;
		break;
	}
	return ret;
}

/* ---- steal time ---------------------------------------------------------------------------- */

#define HV_STEAL_RESERVED	0x3e	/* bits 5:1 of the MSR */

int hv_steal_set_msr(struct hv_vcpu *vcpu, u64 value)
{
	if (value & HV_STEAL_RESERVED)
		return 1;
	vcpu->pv.msr_steal_time = value;
	if (!(value & KVM_MSR_ENABLED))
		return 0;
	/* What was stolen before the guest asked is not reported. */
	vcpu->pv.last_steal = current->sched_info.run_delay;
	hv_request(vcpu, HV_REQ_STEAL);
	return 0;
}

bool hv_steal_due(const struct hv_vcpu *vcpu)
{
	return unlikely(vcpu->pv.msr_steal_time & KVM_MSR_ENABLED) &&
	       current->sched_info.run_delay != vcpu->pv.last_steal;
}

void hv_steal_update(struct hv_vcpu *vcpu)
{
	u64 gpa = vcpu->pv.msr_steal_time & ~0x3fULL;
	struct hv_vm *vm = vcpu->vm;
	struct kvm_steal_time st;
	u64 delay = current->sched_info.run_delay;

	if (!(vcpu->pv.msr_steal_time & KVM_MSR_ENABLED))
		return;
	/* The guest zeroed it; the sum is kept in its memory so that it survives migration. */
	if (hv_guest_read(vm, gpa, &st, sizeof(st)))
		return;
	st.version = (st.version | 1) + 2;
	if (hv_guest_write(vm, gpa + offsetof(struct kvm_steal_time, version), &st.version,
			   sizeof(st.version)))
		return;
	smp_wmb();
	/* Less than last time: another thread runs the vCPU now. */
	if (delay > vcpu->pv.last_steal)
		st.steal += delay - vcpu->pv.last_steal;
	st.preempted = 0;
	vcpu->pv.last_steal = delay;
	hv_guest_write(vm, gpa, &st, sizeof(st));
	smp_wmb();
	st.version++;
	hv_guest_write(vm, gpa + offsetof(struct kvm_steal_time, version), &st.version,
		       sizeof(st.version));
}
