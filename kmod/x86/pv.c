// SPDX-License-Identifier: GPL-2.0-only
/* KVM's hypercalls. */
#include <linux/kvm_para.h>
#include <linux/mm.h>
#include <asm/kvm_para.h>

#include "../compat/kvm_run.h"
#include "../irq/irq.h"
#include "../irq/lapic.h"
#include "../trace.h"
#include "cpuid_policy.h"
#include "x86.h"

/*
 * KVM_HC_SEND_IPI: one interrupt to up to 128 vCPUs, @low and @high being a bit map of APIC ids
 * from @first on. Returns how many took it.
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

/* The vCPU with an APIC id; NULL: there is none. */
static struct hv_vcpu *hv_vcpu_by_apic_id(struct hv_vm *vm, u32 id)
{
	struct hv_vcpu *vcpu;
	unsigned long i;

	hv_for_each_vcpu(vm, vcpu, i)
		if (vcpu->lapic && hv_apic_id(vcpu->lapic) == id)
			return vcpu;
	return NULL;
}

/* KVM_HC_SCHED_YIELD: the caller waits for that vCPU. */
static u64 hv_hc_yield(struct hv_vcpu *vcpu, u32 id)
{
	struct hv_vcpu *target = hv_vcpu_by_apic_id(vcpu->vm, id);

	if (target && target != vcpu && READ_ONCE(target->displaced)) {
		vcpu->stats.directed_yields++;
		hv_vcpu_yield_to(target);
	}
	return 0;
}

/* KVM_HC_KICK_CPU: that vCPU waits in HLT for a lock, maybe with interrupts off. */
static u64 hv_hc_kick(struct hv_vcpu *vcpu, u32 id)
{
	struct hv_vcpu *target = hv_vcpu_by_apic_id(vcpu->vm, id);

	if (target) {
		WRITE_ONCE(target->para.unhalted, true);
		hv_request_kick(target, HV_REQ_EVENT);
	}
	return hv_hc_yield(vcpu, id);
}

/* KVM_HC_MAP_GPA_RANGE: user space decides what a range of memory is. */
static int hv_hc_map_gpa_range(struct hv_vcpu *vcpu, u64 gpa, u64 npages, u64 attrs, u64 *result)
{
	struct kvm_run *run = vcpu->run;
	u64 gfn = gpa >> PAGE_SHIFT;

	if (!(READ_ONCE(vcpu->vm->hypercall_exits) & BIT_ULL(KVM_HC_MAP_GPA_RANGE)))
		return HV_NEXT_NONE;
	if (offset_in_page(gpa) || !npages || gfn + npages <= gfn) {
		*result = -KVM_EINVAL;
		return HV_NEXT_NONE;
	}
	run->exit_reason = KVM_EXIT_HYPERCALL;
	memset(&run->hypercall, 0, sizeof(run->hypercall));
	run->hypercall.nr = KVM_HC_MAP_GPA_RANGE;
	run->hypercall.args[0] = gpa;
	run->hypercall.args[1] = npages;
	run->hypercall.args[2] = attrs;
	hv_hypercall_set_flags(run, hv_64bit_mode(vcpu) ? KVM_EXIT_HYPERCALL_LONG_MODE : 0);
	return HV_NEXT_USER;
}

/* Those that may wait for the scheduler. */
static bool hv_hc_sleeps(u64 nr)
{
	return nr == KVM_HC_KICK_CPU || nr == KVM_HC_SCHED_YIELD;
}

int hv_hypercall(struct hv_vcpu *vcpu, u64 *result, bool may_sleep)
{
	const u64 *gpr = vcpu->regs.gpr;
	bool mode64 = hv_64bit_mode(vcpu);
	u64 mask = mode64 ? ~0ULL : U32_MAX, nr = gpr[HV_RAX] & mask;
	u64 a0 = gpr[HV_RBX] & mask, a1 = gpr[HV_RCX] & mask, a2 = gpr[HV_RDX] & mask;
	u64 a3 = gpr[HV_RSI] & mask;

	if (hv_hc_sleeps(nr) && !may_sleep)
		return HV_NEXT_SLEEP;
	trace_hv_hypercall(vcpu->id, nr, a0, a1, a2, a3);
	*result = -KVM_EPERM;
	if (vcpu->regs.seg[HV_SS].dpl)
		return HV_NEXT_NONE;
	*result = -KVM_ENOSYS;
	switch (nr) {
	case KVM_HC_VAPIC_POLL_IRQ:
		*result = 0;
		break;
	case KVM_HC_KICK_CPU:
		if (hv_pv_has(vcpu, HV_PV_UNHALT))
			*result = hv_hc_kick(vcpu, a1);
		break;
	case KVM_HC_SEND_IPI:
		if (hv_pv_has(vcpu, HV_PV_SEND_IPI))
			*result = hv_hc_send_ipi(vcpu, a0, a1, a2, a3, mode64);
		break;
	case KVM_HC_SCHED_YIELD:
		if (hv_pv_has(vcpu, HV_PV_SCHED_YIELD))
			*result = hv_hc_yield(vcpu, a0);
		break;
	case KVM_HC_MAP_GPA_RANGE:
		return hv_hc_map_gpa_range(vcpu, a0, a1, a2, result);
	}
	return HV_NEXT_NONE;
}
