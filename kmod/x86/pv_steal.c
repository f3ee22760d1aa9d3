// SPDX-License-Identifier: GPL-2.0-only
/*
 * Steal time: how long a vCPU was ready to run and did not, and whether it runs now.
 *
 * The second lets a guest save IPIs. A vCPU that is marked as preempted executes nothing before
 * hv_steal_update(): instead of interrupting it, others put a bit into the mark that asks for a TLB
 * flush. So the mark is only ever exchanged, and what was asked for is done before the next entry.
 *
 * For the same reason a vCPU whose instruction is half emulated, maybe with translations of its own
 * in hand, must not be marked: it would go on with them after the flush.
 */
#include <linux/sched.h>
#include <linux/srcu.h>

#include "clock_defs.h"
#include "cpuid_policy.h"
#include "x86.h"

static bool hv_steal_enabled(const struct hv_vcpu *vcpu)
{
	return unlikely(vcpu->pv.msr_steal_time & HV_PV_STEAL_ENABLED);
}

static u64 hv_steal_gpa(const struct hv_vcpu *vcpu)
{
	return vcpu->pv.msr_steal_time & HV_PV_STEAL_ADDR;
}

int hv_steal_set_msr(struct hv_vcpu *vcpu, u64 value)
{
	if (value & HV_PV_STEAL_RESERVED)
		return 1;
	vcpu->pv.msr_steal_time = value;
	vcpu->pv.marked_preempted = false;
	if (!(value & HV_PV_STEAL_ENABLED))
		return 0;
	/* What was stolen before the guest asked is not reported. */
	vcpu->pv.last_steal = current->sched_info.run_delay;
	hv_request(vcpu, HV_REQ_STEAL);
	return 0;
}

bool hv_steal_due(const struct hv_vcpu *vcpu)
{
	return hv_steal_enabled(vcpu) && (vcpu->pv.marked_preempted ||
					  current->sched_info.run_delay != vcpu->pv.last_steal);
}

/* Take the mark away, and do what others asked for meanwhile. */
static int hv_steal_unmark(struct hv_vcpu *vcpu)
{
	u64 gpa = hv_steal_gpa(vcpu) + offsetof(struct hv_pv_steal, preempted), old = 0;
	int r;

	do {
		r = hv_guest_cmpxchg(vcpu->vm, gpa, &old, 0, 1);
	} while (r == 1);
	if (r)
		return r;
	/*
	 * Only now: were this thread preempted before the exchange and marked again, the new mark
	 * would wipe out a request in the old one.
	 */
	barrier();
	vcpu->pv.marked_preempted = false;
	if ((old & HV_PV_STEAL_FLUSH_TLB) && hv_pv_has(vcpu, HV_PV_TLB_FLUSH))
		hv_request(vcpu, HV_REQ_TLB_FLUSH);
	return 0;
}

void hv_steal_update(struct hv_vcpu *vcpu)
{
	u64 gpa = hv_steal_gpa(vcpu), delay = current->sched_info.run_delay;
	struct hv_vm *vm = vcpu->vm;
	struct hv_pv_steal st;

	if (unlikely(vcpu->xen))
		hv_xen_enter(vcpu);
	if (!hv_steal_enabled(vcpu) || hv_steal_unmark(vcpu))
		return;
	/* The guest zeroed it; the sum is kept in its memory so that it survives migration. */
	if (hv_guest_read(vm, gpa, &st, offsetof(struct hv_pv_steal, flags)))
		return;
	st.version = (st.version | 1) + 2;
	if (hv_guest_write(vm, gpa + offsetof(struct hv_pv_steal, version), &st.version,
			   sizeof(st.version)))
		return;
	smp_wmb();
	/* Less than last time: another thread runs the vCPU now. */
	if (delay > vcpu->pv.last_steal)
		st.steal += delay - vcpu->pv.last_steal;
	vcpu->pv.last_steal = delay;
	hv_guest_write(vm, gpa, &st.steal, sizeof(st.steal));
	smp_wmb();
	st.version++;
	hv_guest_write(vm, gpa + offsetof(struct hv_pv_steal, version), &st.version,
		       sizeof(st.version));
}

void hv_steal_leave(struct hv_vcpu *vcpu)
{
	static const u8 mark = HV_PV_STEAL_PREEMPTED;
	struct hv_vm *vm = vcpu->vm;
	int idx;

	if (!hv_steal_enabled(vcpu) || vcpu->pv.marked_preempted || !vcpu->pv.between_insns)
		return;
	/* A sleeping vCPU has let go of the slots; also called under the scheduler's locks. */
	idx = srcu_read_lock(&vm->srcu);
	if (!hv_guest_write_nofault(vm, hv_steal_gpa(vcpu) +
				    offsetof(struct hv_pv_steal, preempted), &mark, sizeof(mark)))
		vcpu->pv.marked_preempted = true;
	srcu_read_unlock(&vm->srcu, idx);
}
