// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC's timer on a hrtimer (SDM 11.5.4). Its input clock is 1 GHz unless user space
 * sets another (KVM_CAP_X86_APIC_BUS_CYCLES_NS): one count is a tick of it times the divisor.
 * Everything here runs on the vCPU's thread except the callback.
 *
 * A CPU that can leave the guest at a given TSC does the hrtimer's work while the vCPU runs: then
 * exit_tsc is set, and the hrtimer is not. To arm it costs next to nothing, and the host has no
 * interrupt of it.
 */
#include <linux/ktime.h>
#include <linux/math64.h>
#include <asm/tsc.h>
#include "chips.h"
#include "compat/hrtimer.h"
#include "x86/x86.h"

/* A guest must not drown the host in timer interrupts: shortest period, ns. */
#define HV_LAPIC_MIN_PERIOD	100000ULL

/* Farthest expiry that is not "never": 100 years. */
#define HV_LAPIC_MAX_NS		(100ULL * 365 * 86400 * NSEC_PER_SEC)

static enum hrtimer_restart hv_lapic_timer_fn(struct hrtimer *timer)
{
	struct hv_lapic *l = container_of(timer, struct hv_lapic, timer.timer);
	u64 period = READ_ONCE(l->timer.period);

	WRITE_ONCE(l->timer.pending, true);
	hv_request_kick(l->vcpu, HV_REQ_TIMER);
	if (!period)
		return HRTIMER_NORESTART;
	hrtimer_forward_now(timer, ns_to_ktime(period));
	WRITE_ONCE(l->timer.target, ktime_to_ns(hrtimer_get_expires(timer)));
	return HRTIMER_RESTART;
}

void hv_lapic_timer_init(struct hv_lapic *l)
{
	hv_hrtimer_setup(&l->timer.timer, hv_lapic_timer_fn, HRTIMER_MODE_ABS_PINNED_HARD);
	l->timer.divisor = 2;
}

void hv_lapic_timer_stop(struct hv_lapic *l)
{
	if (hrtimer_active(&l->timer.timer))
		hrtimer_cancel(&l->timer.timer);
	l->vcpu->exit_tsc = 0;
	l->timer.pending = false;
	l->timer.target = 0;
	l->timer.tsc_deadline = 0;
}

static void hv_lapic_timer_expire(struct hv_lapic *l)
{
	l->timer.pending = true;
	hv_request(l->vcpu, HV_REQ_TIMER);
}


/* Nanoseconds until the guest's TSC has advanced by @ticks. */
static u64 hv_lapic_ticks_to_ns(const struct hv_lapic *l, u64 ticks)
{
	u64 ms, rest;
	u32 khz = l->vcpu->pv.tsc_khz;

	if (!khz)
		return HV_LAPIC_MAX_NS;
	ms = div64_u64_rem(ticks, khz, &rest);
	if (ms > HV_LAPIC_MAX_NS / NSEC_PER_MSEC)
		return HV_LAPIC_MAX_NS;
	return ms * NSEC_PER_MSEC + div64_u64(rest * NSEC_PER_MSEC, khz);
}

/* The CPU does it, if it can, and if its TSC is a clock. */
static bool hv_lapic_timer_on_cpu(void)
{
	return hv_ops.exit_timer && !check_tsc_unstable();
}

/* Expire at l->timer.target, as the deadline or the count says. */
static void hv_lapic_timer_arm_cpu(struct hv_lapic *l)
{
	u64 now, at = l->timer.target;

	if (l->timer.mode == HV_APIC_TIMER_DEADLINE) {
		l->vcpu->exit_tsc = hv_tsc_to_host(l->vcpu, l->timer.tsc_deadline) ?: 1;
		return;
	}
	now = ktime_get_ns();
	at = at > now ? hv_rescale(at - now, tsc_khz, NSEC_PER_MSEC) : 0;
	l->vcpu->exit_tsc = rdtsc() + at;
}

static void hv_lapic_timer_arm_host(struct hv_lapic *l)
{
	hrtimer_start(&l->timer.timer, ns_to_ktime(l->timer.target), HRTIMER_MODE_ABS_PINNED_HARD);
}

/* Expire at @target, ns of CLOCK_MONOTONIC. */
static void hv_lapic_timer_start(struct hv_lapic *l, u64 target)
{
	l->timer.target = target;
	if (hv_lapic_timer_on_cpu())
		hv_lapic_timer_arm_cpu(l);
	else
		hv_lapic_timer_arm_host(l);
}

static void hv_lapic_deadline_arm(struct hv_lapic *l)
{
	u64 now = hv_tsc_read(l->vcpu), deadline = l->timer.tsc_deadline;

	if (deadline <= now)
		hv_lapic_timer_expire(l);
	else
		hv_lapic_timer_start(l, ktime_get_ns() + hv_lapic_ticks_to_ns(l, deadline - now));
}

/* ---- one-shot and periodic ----------------------------------------------------------------- */

static u64 hv_lapic_count_ns(const struct hv_lapic *l)
{
	return (u64)l->timer.divisor * l->vcpu->vm->apic_bus_ns;
}

/* Longer than hrtimers can wait for is for ever. */
static u64 hv_lapic_count_to_ns(const struct hv_lapic *l, u32 count)
{
	return min_t(u64, (u64)count * hv_lapic_count_ns(l), HV_LAPIC_MAX_NS);
}

/* Count down from @first, then (periodic) from @count. */
void hv_lapic_timer_set_count(struct hv_lapic *l, u32 count, u32 first)
{
	struct hv_lapic_timer *t = &l->timer;

	hv_lapic_timer_stop(l);
	t->period = 0;
	if (!count || (!first && t->mode != HV_APIC_TIMER_PERIODIC))
		return;
	if (t->mode == HV_APIC_TIMER_PERIODIC)
		t->period = max(hv_lapic_count_to_ns(l, count), HV_LAPIC_MIN_PERIOD);
	hv_lapic_timer_start(l, ktime_get_ns() + hv_lapic_count_to_ns(l, first ?: count));
}

u32 hv_lapic_timer_count(const struct hv_lapic *l)
{
	const struct hv_lapic_timer *t = &l->timer;
	u64 now = ktime_get_ns(), target = READ_ONCE(t->target);
	u32 initial = hv_apic_read(l, HV_APIC_TMICT);

	if (t->mode == HV_APIC_TIMER_DEADLINE || !initial || target <= now)
		return 0;
	/* The shortest period may be longer than what the guest asked for. */
	return min_t(u64, div64_u64(target - now, hv_lapic_count_ns(l)), initial);
}

void hv_lapic_timer_set_divisor(struct hv_lapic *l, u32 tdcr)
{
	u32 left = hv_lapic_timer_count(l), code;

	tdcr &= 0xb;
	hv_apic_write(l, HV_APIC_TDCR, tdcr);
	/* Bits 3, 1 and 0: 0 is 2, ... 6 is 128, 7 is 1 (SDM figure 11-10). */
	code = (tdcr & 3) | (tdcr & 8) >> 1;
	code = 1U << ((code + 1) & 7);
	if (code == l->timer.divisor)
		return;
	l->timer.divisor = code;
	if (left)
		hv_lapic_timer_set_count(l, hv_apic_read(l, HV_APIC_TMICT), left);
}

/* A new LVT timer entry: to or from TSC-deadline mode the timer stops (SDM 11.5.4.1). */
void hv_lapic_timer_set_lvt(struct hv_lapic *l, u32 lvt)
{
	u32 mode = lvt & HV_APIC_LVT_TIMER_MODE, old = l->timer.mode;
	u32 left;

	if (mode == old)
		return;
	if (mode == HV_APIC_TIMER_DEADLINE || old == HV_APIC_TIMER_DEADLINE) {
		hv_lapic_timer_stop(l);
		hv_apic_write(l, HV_APIC_TMICT, 0);
		l->timer.period = 0;
		l->timer.mode = mode;
		return;
	}
	left = hv_lapic_timer_count(l);
	l->timer.mode = mode;
	if (left)
		hv_lapic_timer_set_count(l, hv_apic_read(l, HV_APIC_TMICT), left);
}

/* ---- what the rest of the module calls ----------------------------------------------------- */

void hv_lapic_timer_due(struct hv_vcpu *vcpu)
{
	struct hv_lapic_timer *t;
	u64 now;

	/* Early: it waits for a time that is longer than the CPU can. */
	if (!vcpu->exit_tsc || rdtsc() < vcpu->exit_tsc)
		return;
	vcpu->exit_tsc = 0;
	t = &vcpu->lapic->timer;
	hv_lapic_timer_expire(vcpu->lapic);
	if (!t->period)
		return;
	now = ktime_get_ns();
	t->target += t->period;
	/* Periods that nobody was there for make one interrupt. */
	if (t->target <= now)
		t->target += div64_u64(now - t->target, t->period) * t->period + t->period;
	hv_lapic_timer_arm_cpu(vcpu->lapic);
}

void hv_lapic_timer_halt(struct hv_vcpu *vcpu)
{
	if (!vcpu->exit_tsc)
		return;
	vcpu->exit_tsc = 0;
	hv_lapic_timer_arm_host(vcpu->lapic);
}

void hv_lapic_timer_unhalt(struct hv_vcpu *vcpu)
{
	struct hv_lapic *l = vcpu->lapic;

	/* Cancelled in time, or to be continued: else it has expired and is done. */
	if (l && hv_lapic_timer_on_cpu() && hrtimer_cancel(&l->timer.timer))
		hv_lapic_timer_arm_cpu(l);
}

void hv_lapic_timer_inject(struct hv_vcpu *vcpu)
{
	struct hv_lapic *l = vcpu->lapic;

	if (!l || !xchg(&l->timer.pending, false))
		return;
	if (l->timer.mode == HV_APIC_TIMER_DEADLINE)
		l->timer.tsc_deadline = 0;
	hv_lapic_lvt_raise(l, HV_APIC_LVT_TIMER);
}

bool hv_lapic_timer_pending(const struct hv_vcpu *vcpu)
{
	const struct hv_lapic *l = vcpu->lapic;

	return l && READ_ONCE(l->timer.pending) && hv_apic_usable(l) &&
	       !(hv_apic_read(l, HV_APIC_LVT_TIMER) & HV_APIC_LVT_MASKED);
}

u64 hv_lapic_get_tscdeadline(const struct hv_vcpu *vcpu)
{
	const struct hv_lapic *l = vcpu->lapic;

	if (!l || l->timer.mode != HV_APIC_TIMER_DEADLINE)
		return 0;
	return l->timer.tsc_deadline;
}

void hv_lapic_set_tscdeadline(struct hv_vcpu *vcpu, u64 value)
{
	struct hv_lapic *l = vcpu->lapic;

	if (!l || l->timer.mode != HV_APIC_TIMER_DEADLINE)
		return;
	hv_lapic_timer_stop(l);
	l->timer.tsc_deadline = value;
	if (value)
		hv_lapic_deadline_arm(l);
}

void hv_lapic_timer_restart(struct hv_vcpu *vcpu)
{
	struct hv_lapic *l = vcpu->lapic;

	if (!l)
		return;
	/* Not active any more: it has just expired (and, one-shot, is done). */
	if (!vcpu->exit_tsc &&
	    (!hrtimer_active(&l->timer.timer) || !hrtimer_cancel(&l->timer.timer)))
		return;
	vcpu->exit_tsc = 0;
	if (l->timer.mode == HV_APIC_TIMER_DEADLINE)
		hv_lapic_deadline_arm(l);
	else
		hv_lapic_timer_start(l, l->timer.target);
}
