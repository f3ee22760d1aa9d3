// SPDX-License-Identifier: GPL-2.0-only
/*
 * Time as Xen tells it to its guests: the time of day in the shared page; the clock in each vCPU's
 * info area (and in a second place that the guest may choose), which is kvm-clock; and how much
 * time a vCPU has spent in which state. The states are user space's business, but for one: a vCPU
 * that is ready to run and does not is "runnable".
 */
#include <linux/math64.h>
#include <linux/sched.h>
#include <linux/srcu.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#include "clock_defs.h"
#include "xen.h"

/* ---- time of day ---------------------------------------------------------------------------- */

static int hv_xen_wall_put(struct hv_vm *vm, u32 offset, u32 value)
{
	u32 __user *word = hv_xen_user(vm, READ_ONCE(vm->xen->shared), offset);

	return word ? __put_user(value, word) : -EFAULT;
}

/* When system time was 0, in seconds (64 bits, in two places) and nanoseconds. */
int hv_xen_wall_write(struct hv_vm *vm)
{
	bool wide = vm->xen->long_mode;
	u32 wall = wide ? XEN_SHARED_WALL_64 : XEN_SHARED_WALL_32;
	u32 sec_hi = wide ? XEN_SHARED_SEC_HI_64 : XEN_SHARED_SEC_HI_32;
	u32 __user *version;
	u32 seq, nsec;
	u64 sec;
	int r = -EFAULT, idx = srcu_read_lock(&vm->srcu);

	version = hv_xen_user(vm, READ_ONCE(vm->xen->shared),
			      wall + offsetof(struct hv_pv_wall, version));
	if (!version || __get_user(seq, version))
		goto unlock;
	seq = (seq + 1) | 1;
	if (__put_user(seq, version))
		goto unlock;
	smp_wmb();
	sec = div_u64_rem(ktime_get_real_ns() - hv_clock_get(vm), NSEC_PER_SEC, &nsec);
	r = hv_xen_wall_put(vm, wall + offsetof(struct hv_pv_wall, sec), sec);
	if (!r)
		r = hv_xen_wall_put(vm, wall + offsetof(struct hv_pv_wall, nsec), nsec);
	if (!r)
		r = hv_xen_wall_put(vm, sec_hi, sec >> 32);
	smp_wmb();
	if (!r)
		r = __put_user(seq + 1, version);
unlock:
	srcu_read_unlock(&vm->srcu, idx);
	return r;
}

/* ---- the clock ------------------------------------------------------------------------------ */

bool hv_xen_has_clock(const struct hv_vcpu *vcpu)
{
	const struct hv_xen *xen = hv_xen(vcpu);

	return xen && (READ_ONCE(xen->info) || READ_ONCE(xen->time_gpa) != KVM_XEN_INVALID_GPA);
}

void hv_xen_clock_update(struct hv_vcpu *vcpu)
{
	const struct hv_xen *xen = hv_xen(vcpu);
	struct hv_clock_page page = {
		.unstable = READ_ONCE(vcpu->vm->xen->config.flags) &
			    KVM_XEN_HVM_CONFIG_PVCLOCK_TSC_UNSTABLE,
	};

	if (xen->info) {
		page.gpa = (xen->info & HV_XEN_AREA_ADDR) + XEN_INFO_TIME;
		if (xen->info & HV_XEN_AREA_HVA)
			page.hva = (void __user *)(unsigned long)page.gpa;
		hv_clock_write(vcpu, &page);
	}
	if (xen->time_gpa != KVM_XEN_INVALID_GPA) {
		page.gpa = xen->time_gpa;
		page.hva = NULL;
		hv_clock_write(vcpu, &page);
	}
}

/* ---- states of a vCPU ----------------------------------------------------------------------- */

bool hv_xen_accounts(const struct hv_vcpu *vcpu)
{
	return vcpu->xen && READ_ONCE(vcpu->vm->xen->config.msr);
}

static int hv_xen_runstate_put(struct hv_vcpu *vcpu, u32 offset, const void *data, u32 len,
			       bool may_sleep)
{
	u64 gpa = vcpu->xen->runstate_gpa + offset;

	return may_sleep ? hv_guest_write(vcpu->vm, gpa, data, len) :
			   hv_guest_write_nofault(vcpu->vm, gpa, data, len);
}

/*
 * The structure may lie at any byte, also across pages, so its parts are written one by one; a
 * guest that wants more than luck has the flag, in the last byte of the first field, set meanwhile.
 * If that fails halfway for want of a page, the vCPU writes it anew before it runs again.
 */
void hv_xen_runstate_write(struct hv_vcpu *vcpu, bool may_sleep)
{
	const struct hv_xen *xen = vcpu->xen;
	struct xen_runstate_times times = xen->times;
	bool wide = READ_ONCE(vcpu->vm->xen->long_mode);
	u32 at = wide ? XEN_RUNSTATE_TIMES_64 : XEN_RUNSTATE_TIMES_32;
	u32 last = at + sizeof(times.entry) - 1;
	bool flag = READ_ONCE(vcpu->vm->xen->update_flag);
	u8 top;

	if (xen->runstate_gpa == KVM_XEN_INVALID_GPA)
		return;
	if (flag) {
		times.entry |= XEN_RUNSTATE_UPDATE;
		top = times.entry >> 56;
		if (hv_xen_runstate_put(vcpu, last, &top, sizeof(top), may_sleep))
			return;
		smp_wmb();
	}
	if (hv_xen_runstate_put(vcpu, 0, &xen->runstate, sizeof(xen->runstate), may_sleep) ||
	    hv_xen_runstate_put(vcpu, at, &times, sizeof(times), may_sleep))
		return;
	if (flag) {
		smp_wmb();
		top = xen->times.entry >> 56;
		hv_xen_runstate_put(vcpu, last, &top, sizeof(top), may_sleep);
	}
}

void hv_xen_runstate_set(struct hv_vcpu *vcpu, u32 state, bool may_sleep)
{
	u64 now = hv_clock_get(vcpu->vm), delay = current->sched_info.run_delay, stolen = 0;
	struct hv_xen *xen = vcpu->xen;
	u64 passed = now - xen->times.entry;

	if (!xen->times.entry)
		xen->runstate = XEN_OFFLINE;
	/* Waiting for a CPU is no running, but it is only "runnable" of a vCPU that would run. */
	if (xen->runstate == XEN_RUNNING && delay > xen->last_steal)
		stolen = min(delay - xen->last_steal, passed);
	xen->last_steal = delay;
	xen->times.time[XEN_RUNNABLE] += stolen;
	xen->times.time[xen->runstate] += passed - stolen;
	xen->runstate = state;
	xen->times.entry = now;
	hv_xen_runstate_write(vcpu, may_sleep);
}

void hv_xen_enter(struct hv_vcpu *vcpu)
{
	if (hv_xen_accounts(vcpu))
		hv_xen_runstate_set(vcpu, XEN_RUNNING, true);
}

void hv_xen_preempted(struct hv_vcpu *vcpu)
{
	int idx;

	if (!hv_xen_accounts(vcpu))
		return;
	/* A sleeping vCPU has let go of the slots; called under the scheduler's locks. */
	idx = srcu_read_lock(&vcpu->vm->srcu);
	hv_xen_runstate_set(vcpu, XEN_RUNNABLE, false);
	srcu_read_unlock(&vcpu->vm->srcu, idx);
}
