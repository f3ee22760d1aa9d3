// SPDX-License-Identifier: GPL-2.0-only
/* Paravirtual interfaces of KVM's ABI other than the clock: hypercalls, steal time. */
#include <linux/kvm_para.h>
#include <linux/sched.h>
#include <asm/kvm_para.h>

#include "../irq/irq.h"
#include "../irq/lapic.h"
#include "../trace.h"
#include "x86.h"

/* KVM_HC_KICK_CPU: wake the vCPU with APIC id @apic_id from HLT, whatever its interrupt flag. */
static void hv_hc_kick(struct hv_vcpu *vcpu, u32 apic_id)
{
	struct hv_vcpu *other;
	unsigned long i;

	hv_for_each_vcpu(vcpu->vm, other, i) {
		if (other->lapic && hv_apic_id(other->lapic) == apic_id) {
			hv_request_kick(other, HV_REQ_UNBLOCK);
			return;
		}
	}
}

u64 hv_hypercall(struct hv_vcpu *vcpu, u64 nr, u64 a0, u64 a1, u64 a2, u64 a3, bool mode64)
{
	u64 ret = -KVM_ENOSYS;

	if (!mode64) {
		nr = (u32)nr;
		a1 = (u32)a1;
	}
	hv_regs_need(vcpu, HV_REGS_CODE);
	if (vcpu->regs.seg[HV_SS].dpl) {
		ret = -KVM_EPERM;
	} else if (nr == KVM_HC_VAPIC_POLL_IRQ) {
		ret = 0;
	} else if (nr == KVM_HC_KICK_CPU &&
		   (vcpu->cpuid->kvm_features & BIT(KVM_FEATURE_PV_UNHALT))) {
		hv_hc_kick(vcpu, a1);
		ret = 0;
	}
	trace_hv_hypercall(vcpu->id, nr, a0, a1, a2, a3);
	return ret;
}

/* ---- steal time ---------------------------------------------------------------------------------- */

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
	st.steal += delay - vcpu->pv.last_steal;
	st.preempted = 0;
	vcpu->pv.last_steal = delay;
	hv_guest_write(vm, gpa, &st, sizeof(st));
	smp_wmb();
	st.version++;
	hv_guest_write(vm, gpa + offsetof(struct kvm_steal_time, version), &st.version,
		       sizeof(st.version));
}
