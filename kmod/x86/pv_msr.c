// SPDX-License-Identifier: GPL-2.0-only
/* KVM's paravirtual MSRs: which feature each belongs to, and who handles it. */
#include "cpuid_policy.h"
#include "msr_defs.h"
#include "x86.h"

/* Which feature an MSR belongs to; 0: it is none of KVM's. */
static u32 hv_pv_msr_feature(u32 index)
{
	switch (index) {
	case HV_MSR_PV_WALL_CLOCK_OLD:
	case HV_MSR_PV_SYSTEM_TIME_OLD:
		return HV_PV_CLOCKSOURCE;
	case HV_MSR_PV_WALL_CLOCK:
	case HV_MSR_PV_SYSTEM_TIME:
		return HV_PV_CLOCKSOURCE2;
	case HV_MSR_PV_ASYNC_PF:
		return HV_PV_ASYNC_PF;
	case HV_MSR_PV_ASYNC_PF_INT:
	case HV_MSR_PV_ASYNC_PF_ACK:
		return HV_PV_ASYNC_PF_INT;
	case HV_MSR_PV_STEAL_TIME:
		return HV_PV_STEAL_TIME;
	case HV_MSR_PV_EOI:
		return HV_PV_EOI;
	case HV_MSR_PV_POLL_CONTROL:
		return HV_PV_POLL_CONTROL;
	default:
		return 0;
	}
}

int hv_pv_msr_get(struct hv_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	u32 feature = hv_pv_msr_feature(index);

	if (!feature)
		return -ENOENT;
	/* User space saves and restores all that is listed, whatever the guest may use. */
	*value = 0;
	if (!hv_pv_has(vcpu, feature))
		return host ? 0 : HV_MSR_UNKNOWN;
	switch (index) {
	case HV_MSR_PV_WALL_CLOCK_OLD:
	case HV_MSR_PV_WALL_CLOCK:
		*value = vcpu->vm->msr_wall_clock;
		return 0;
	case HV_MSR_PV_SYSTEM_TIME_OLD:
	case HV_MSR_PV_SYSTEM_TIME:
		*value = vcpu->pv.msr_system_time;
		return 0;
	case HV_MSR_PV_ASYNC_PF:
		*value = vcpu->apf.msr_enable;
		return 0;
	case HV_MSR_PV_ASYNC_PF_INT:
		*value = vcpu->apf.msr_int;
		return 0;
	case HV_MSR_PV_ASYNC_PF_ACK:
		*value = 0;
		return 0;
	case HV_MSR_PV_STEAL_TIME:
		*value = vcpu->pv.msr_steal_time;
		return 0;
	case HV_MSR_PV_EOI:
		*value = vcpu->para.msr_eoi;
		return 0;
	case HV_MSR_PV_POLL_CONTROL:
		*value = vcpu->msrs.poll_control;
		return 0;
	default:
		return 1;
	}
}

static int hv_pv_set_poll_control(struct hv_vcpu *vcpu, u64 value)
{
	if (value & ~1ULL)
		return 1;
	vcpu->msrs.poll_control = value;
	return 0;
}

int hv_pv_msr_set(struct hv_vcpu *vcpu, u32 index, u64 value, bool host, bool may_sleep)
{
	u32 feature = hv_pv_msr_feature(index);

	if (!feature)
		return -ENOENT;
	if (!hv_pv_has(vcpu, feature))
		return host && !value ? 0 : HV_MSR_UNKNOWN;
	switch (index) {
	case HV_MSR_PV_WALL_CLOCK_OLD:
	case HV_MSR_PV_WALL_CLOCK:
		/* Written to guest memory at once, which may fault. */
		return may_sleep ? hv_clock_set_wall(vcpu, value) : -EAGAIN;
	case HV_MSR_PV_SYSTEM_TIME_OLD:
	case HV_MSR_PV_SYSTEM_TIME:
		return hv_clock_set_msr(vcpu, value);
	case HV_MSR_PV_ASYNC_PF:
		return hv_apf_set_enable(vcpu, value);
	case HV_MSR_PV_ASYNC_PF_INT:
		return hv_apf_set_vector(vcpu, value);
	case HV_MSR_PV_ASYNC_PF_ACK:
		return hv_apf_acknowledge(vcpu, value);
	case HV_MSR_PV_STEAL_TIME:
		return hv_steal_set_msr(vcpu, value);
	case HV_MSR_PV_EOI:
		return hv_pv_eoi_set_msr(vcpu, value, may_sleep);
	case HV_MSR_PV_POLL_CONTROL:
		return hv_pv_set_poll_control(vcpu, value);
	default:
		return 1;
	}
}

void hv_pv_reset(struct hv_vcpu *vcpu, bool init)
{
	hv_apf_reset(vcpu);
	vcpu->para.msr_eoi = 0;
	vcpu->para.eoi_on = false;
	vcpu->para.eoi_armed = false;
	vcpu->para.unhalted = false;
	if (init)
		return;
	vcpu->pv.msr_system_time = 0;
	vcpu->pv.msr_steal_time = 0;
}
