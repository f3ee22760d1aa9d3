// SPDX-License-Identifier: GPL-2.0-only
/*
 * Synthetic timers (TLFS 12.3): four per vCPU, in reference time (100 ns), one-shot or periodic. An
 * expired timer posts a message to a SINT or (direct mode) raises an interrupt by itself.
 *
 * The hrtimer's callback only marks the timer as due; the vCPU's thread does the rest before it
 * enters the guest, since the message is written to guest memory.
 */
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/string.h>

#include "../compat/hrtimer.h"
#include "../irq/lapic.h"
#include "../trace.h"
#include "hyperv.h"

/* Farthest expiry that is not "never": 100 years of 100 ns. */
#define HV_STIMER_MAX	(100ULL * 365 * 86400 * 10000000)

/* A guest must not drown the host in timer interrupts: shortest period, 100 ns. */
#define HV_STIMER_MIN_PERIOD	1000ULL

static void hv_stimer_due(struct hv_stimer *t)
{
	set_bit(t->index, &t->vcpu->hyperv->timers_due);
	hv_request(t->vcpu, HV_REQ_STIMER);
}

static enum hrtimer_restart hv_stimer_fn(struct hrtimer *timer)
{
	struct hv_stimer *t = container_of(timer, struct hv_stimer, timer);

	hv_stimer_due(t);
	hv_vcpu_kick(t->vcpu);
	return HRTIMER_NORESTART;
}

static void hv_stimer_cancel(struct hv_stimer *t)
{
	hrtimer_cancel(&t->timer);
	clear_bit(t->index, &t->vcpu->hyperv->timers_due);
	t->message_pending = false;
	t->expiry = 0;
}

/* ---- running ------------------------------------------------------------------------------- */

static void hv_stimer_start(struct hv_stimer *t)
{
	u64 now = hv_hyperv_time(t->vcpu), period, rest;
	ktime_t host_now = ktime_get();

	if (t->config & TLFS_STIMER_PERIODIC) {
		period = clamp(t->count, HV_STIMER_MIN_PERIOD, HV_STIMER_MAX);
		if (!t->expiry) {
			t->expiry = now + period;
		} else if (now >= t->expiry) {
			/* Ticks that were missed are not made up for. */
			div64_u64_rem(now - t->expiry, period, &rest);
			t->expiry = now + period - rest;
		}
	} else {
		t->expiry = t->count;
		if (now >= t->count) {
			hv_stimer_due(t);
			return;
		}
	}
	hrtimer_start(&t->timer,
		      ktime_add_ns(host_now, min(t->expiry - now, HV_STIMER_MAX) * 100),
		      HRTIMER_MODE_ABS_PINNED_HARD);
}

/* 0, or why the guest was not told. */
static int hv_stimer_post(struct hv_stimer *t)
{
	struct tlfs_timer_payload payload = {
		.index = t->index,
		.expiration = t->expiry,
		.delivery = hv_hyperv_time(t->vcpu),
	};
	struct tlfs_message msg = {
		.type = TLFS_MESSAGE_TIMER,
		.payload_size = sizeof(payload),
	};
	int r;

	memcpy(msg.payload, &payload, sizeof(payload));
	r = hv_synic_post(t->vcpu, TLFS_STIMER_SINT(t->config), &msg);
	/* A periodic timer does not pile up its ticks: the one that is waiting will do. */
	if (r == -EAGAIN && (t->config & TLFS_STIMER_PERIODIC))
		return 0;
	return r;
}

static int hv_stimer_interrupt(struct hv_stimer *t)
{
	struct hv_apic_irq irq = {
		.vector = TLFS_STIMER_VECTOR(t->config),
		.mode = HV_APIC_FIXED,
		.assert = true,
	};

	return t->vcpu->lapic && !hv_lapic_accept(t->vcpu->lapic, &irq, true) ? -EAGAIN : 0;
}

static void hv_stimer_expire(struct hv_stimer *t)
{
	bool direct = t->config & TLFS_STIMER_DIRECT;
	int r = direct ? hv_stimer_interrupt(t) : hv_stimer_post(t);

	trace_hv_stimer(t->vcpu->id, t->index, direct, r);
	t->message_pending = r;
	if (!r && !(t->config & TLFS_STIMER_PERIODIC))
		t->config &= ~TLFS_STIMER_ENABLE;
}

void hv_stimers_run(struct hv_vcpu *vcpu)
{
	struct hv_hyperv *hyperv = vcpu->hyperv;
	unsigned int i;

	for (i = 0; i < TLFS_STIMERS; i++) {
		struct hv_stimer *t = &hyperv->timer[i];

		if (!test_and_clear_bit(i, &hyperv->timers_due) ||
		    !(t->config & TLFS_STIMER_ENABLE))
			continue;
		if (t->expiry && hv_hyperv_time(vcpu) >= t->expiry)
			hv_stimer_expire(t);
		if (!(t->config & TLFS_STIMER_ENABLE) || !t->count)
			hv_stimer_cancel(t);
		else if (!t->message_pending)
			hv_stimer_start(t);
	}
}

void hv_stimer_retry(struct hv_vcpu *vcpu, unsigned int sint)
{
	unsigned int i;

	for (i = 0; i < TLFS_STIMERS; i++) {
		struct hv_stimer *t = &vcpu->hyperv->timer[i];

		if (t->message_pending && (t->config & TLFS_STIMER_ENABLE) &&
		    !(t->config & TLFS_STIMER_DIRECT) && TLFS_STIMER_SINT(t->config) == sint)
			hv_stimer_due(t);
	}
}

/* ---- MSRs ---------------------------------------------------------------------------------- */

static int hv_stimer_set_config(struct hv_stimer *t, u64 config, bool host)
{
	if (!host && (config & TLFS_STIMER_DIRECT) &&
	    !hv_hyperv_has(t->vcpu, t->vcpu->cpuid->hyperv_edx, TLFS_DIRECT_SYNTIMERS))
		return 1;
	hv_stimer_cancel(t);
	/* SINT 0 belongs to the hypervisor: a running timer that is sent there stops. */
	if ((t->config & TLFS_STIMER_ENABLE) && !(config & TLFS_STIMER_DIRECT) &&
	    !TLFS_STIMER_SINT(config))
		config &= ~TLFS_STIMER_ENABLE;
	t->config = config;
	return 0;
}

static void hv_stimer_set_count(struct hv_stimer *t, u64 count, bool host)
{
	hv_stimer_cancel(t);
	t->count = count;
	if (host)
		return;
	if (!count)
		t->config &= ~TLFS_STIMER_ENABLE;
	else if (t->config & TLFS_STIMER_AUTO_ENABLE)
		t->config |= TLFS_STIMER_ENABLE;
}

int hv_stimer_msr_set(struct hv_vcpu *vcpu, u32 index, u64 value, bool host)
{
	struct hv_stimer *t = &vcpu->hyperv->timer[(index - TLFS_MSR_STIMER0_CONFIG) / 2];

	if (!vcpu->hyperv->synic.active && (!host || value))
		return 1;
	if ((index - TLFS_MSR_STIMER0_CONFIG) & 1)
		hv_stimer_set_count(t, value, host);
	else if (hv_stimer_set_config(t, value, host))
		return 1;
	if (t->config & TLFS_STIMER_ENABLE)
		hv_stimer_due(t);
	return 0;
}

int hv_stimer_msr_get(struct hv_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	const struct hv_stimer *t = &vcpu->hyperv->timer[(index - TLFS_MSR_STIMER0_CONFIG) / 2];

	*value = (index - TLFS_MSR_STIMER0_CONFIG) & 1 ? t->count : t->config;
	return 0;
}

/* ---- life ---------------------------------------------------------------------------------- */

void hv_stimer_init(struct hv_vcpu *vcpu, struct hv_hyperv *hyperv)
{
	unsigned int i;

	for (i = 0; i < TLFS_STIMERS; i++) {
		hyperv->timer[i].vcpu = vcpu;
		hyperv->timer[i].index = i;
		hv_hrtimer_setup(&hyperv->timer[i].timer, hv_stimer_fn,
				 HRTIMER_MODE_ABS_PINNED_HARD);
	}
}

void hv_stimer_stop_all(struct hv_vcpu *vcpu)
{
	unsigned int i;

	for (i = 0; i < TLFS_STIMERS; i++)
		hv_stimer_cancel(&vcpu->hyperv->timer[i]);
}
