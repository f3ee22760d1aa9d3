// SPDX-License-Identifier: GPL-2.0-only
/*
 * Xen's hypercalls. Those that are frequent, and that user space has set up, are done here: sending
 * an event, polling for one, yielding, the one-shot timer, the version. All others are user
 * space's (KVM_EXIT_XEN), and so are calls by the guest's user mode.
 */
#include <linux/kvm_para.h>
#include <linux/ktime.h>
#include <linux/mm.h>

#include "../compat/hrtimer.h"
#include "../mmu/gva.h"
#include "../trace.h"
#include "xen.h"

#define HV_XEN_PARAMS	6

/* One call, decoded. */
struct hv_xen_hc {
	struct hv_vcpu *vcpu;
	struct hv_xen *xen;
	bool wide;			/* made by 64-bit code */
	u64 nr, param[HV_XEN_PARAMS];
	u64 result;
};

bool hv_xen_intercepts(const struct hv_vm *vm)
{
	const struct hv_xen_vm *xv = hv_xen_vm(vm);

	return xv && (READ_ONCE(xv->config.flags) & KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL);
}

bool hv_xen_hypercalls(const struct hv_vcpu *vcpu)
{
	/* Hyper-V's page marks its calls when both are there; see hv_hyperv_set_hypercall(). */
	return hv_xen_intercepts(vcpu->vm) && !((vcpu->regs.gpr[HV_RAX] & XEN_HCALL_HYPERV) &&
						hv_hyperv_hypercalls(vcpu));
}

/* Copy from the guest's virtual addresses; 0 or -EFAULT. */
static int hv_xen_copy_in(struct hv_xen_hc *hc, void *data, u64 gva, u32 len)
{
	u32 part, error;
	u64 gpa;

	if (!hc->wide && gva + len > 1ULL << 32)
		return -EFAULT;
	for (; len; len -= part, data += part, gva += part) {
		part = min_t(u32, len, PAGE_SIZE - offset_in_page(gva));
		if (hv_gva_translate(hc->vcpu, gva, 0, true, &gpa, &error) ||
		    hv_guest_read(hc->vcpu->vm, gpa, data, part))
			return -EFAULT;
	}
	return 0;
}

/* ---- the timer ------------------------------------------------------------------------------ */

static enum hrtimer_restart hv_xen_timer_fn(struct hrtimer *timer)
{
	hv_xen_request(container_of(timer, struct hv_xen, timer), HV_XEN_TIMER);
	return HRTIMER_NORESTART;
}

/* A time of kvm-clock, which is Xen's system time, on the host's clock; long past or not. */
static ktime_t hv_xen_to_host(struct hv_vm *vm, u64 system_time, s64 *ahead)
{
	*ahead = system_time - hv_clock_get(vm);
	*ahead = clamp_t(s64, *ahead, -(s64)HV_FAR_FUTURE, HV_FAR_FUTURE);
	return ktime_add_ns(ktime_get(), max_t(s64, *ahead, 0));
}

void hv_xen_timer_start(struct hv_xen *xen, u64 expires)
{
	ktime_t when;
	s64 ahead;

	hv_xen_timer_stop(xen);
	when = hv_xen_to_host(xen->vcpu->vm, expires, &ahead);
	xen->timer_expires = expires;
	if (ahead <= 0)
		hv_xen_request(xen, HV_XEN_TIMER);
	else
		hrtimer_start(&xen->timer, when, HRTIMER_MODE_ABS_HARD);
}

void hv_xen_timer_stop(struct hv_xen *xen)
{
	hrtimer_cancel(&xen->timer);
	clear_bit(HV_XEN_TIMER, &xen->due);
	xen->timer_expires = 0;
}

#define HV_XEN_OVERFLOWN_NS	(1LL << 50)
#define HV_XEN_INSTEAD_NS	(100 * NSEC_PER_MSEC)

/*
 * Old Linux guests ask for times that have overflown: negative ones, or ones nearly two weeks
 * ahead. Xen gives them a tenth of a second.
 */
static bool hv_xen_set_timer(struct hv_xen_hc *hc)
{
	u64 now, expires = hc->param[0];

	if (!hc->xen->timer_port)
		return false;
	if (!hc->wide)
		expires |= hc->param[1] << 32;
	hc->result = 0;
	if (!expires) {
		hv_xen_timer_stop(hc->xen);
		return true;
	}
	now = hv_clock_get(hc->vcpu->vm);
	if ((s64)expires < 0 || (s64)(expires - now) >= HV_XEN_OVERFLOWN_NS)
		expires = now + HV_XEN_INSTEAD_NS;
	hv_xen_timer_start(hc->xen, expires);
	return true;
}

static bool hv_xen_vcpu_op(struct hv_xen_hc *hc)
{
	struct xen_oneshot oneshot = {};
	u64 cmd = hc->param[0];

	if (!hc->xen->timer_port || (cmd != XEN_VCPU_SET_ONESHOT && cmd != XEN_VCPU_STOP_ONESHOT))
		return false;
	hc->result = 0;
	/* A vCPU's own only. */
	if ((u32)hc->param[1] != hc->xen->id) {
		hc->result = -KVM_EINVAL;
		return true;
	}
	if (cmd == XEN_VCPU_STOP_ONESHOT) {
		hv_xen_timer_stop(hc->xen);
		return true;
	}
	if (hv_xen_copy_in(hc, &oneshot, hc->param[2],
			   hc->wide ? sizeof(oneshot) : XEN_ONESHOT_SIZE_32))
		hc->result = -KVM_EFAULT;
	else if ((oneshot.flags & XEN_ONESHOT_FUTURE) &&
		 (s64)(oneshot.expires - hv_clock_get(hc->vcpu->vm)) < 0)
		hc->result = -ETIME;
	else
		hv_xen_timer_start(hc->xen, oneshot.expires);
	return true;
}

/* ---- events --------------------------------------------------------------------------------- */

static bool hv_xen_event_op(struct hv_xen_hc *hc)
{
	u32 port;

	if (hc->param[0] != XEN_EVTCHN_SEND)
		return false;
	hc->result = 0;
	if (hv_xen_copy_in(hc, &port, hc->param[1], sizeof(port))) {
		hc->result = -KVM_EFAULT;
		return true;
	}
	return hv_xen_port_send(hc->vcpu, port);
}

static enum hrtimer_restart hv_xen_poll_fn(struct hrtimer *timer)
{
	struct hv_xen *xen = container_of(timer, struct hv_xen, poll_timer);

	if (xchg(&xen->polling, false))
		hv_request_kick(xen->vcpu, HV_REQ_UNBLOCK);
	return HRTIMER_NORESTART;
}

void hv_xen_poll_end(struct hv_vcpu *vcpu)
{
	struct hv_xen *xen = hv_xen(vcpu);

	WRITE_ONCE(xen->polling, false);
	hrtimer_cancel(&xen->poll_timer);
}

bool hv_xen_polling(const struct hv_vcpu *vcpu)
{
	return READ_ONCE(vcpu->xen->polling);
}

/*
 * Halt until one of the ports is pending, or anything else ends it: the guest looks for itself. The
 * call has been made by then, so that user space never sees a vCPU in the middle of it.
 */
static void hv_xen_poll(struct hv_xen_hc *hc, const struct xen_poll_64 *poll, const u32 *ports)
{
	struct hv_vcpu *vcpu = hc->vcpu;
	struct hv_xen *xen = hc->xen;
	ktime_t when;
	s64 ahead;
	u32 i;

	WRITE_ONCE(xen->poll_port, poll->nr_ports == 1 ? ports[0] : HV_XEN_ANY_PORT);
	/* Before the look at the ports; pairs with hv_xen_poll_wake(). */
	smp_store_mb(xen->polling, true);
	for (i = 0; i < poll->nr_ports; i++)
		if (hv_xen_port_pending(vcpu->vm, ports[i]))
			goto end;
	if (poll->timeout) {
		when = hv_xen_to_host(vcpu->vm, poll->timeout, &ahead);
		if (ahead <= 0)
			goto end;
		hrtimer_start(&xen->poll_timer, when, HRTIMER_MODE_ABS_HARD);
	}
	vcpu->mp_state = KVM_MP_STATE_HALTED;
	return;
end:
	WRITE_ONCE(xen->polling, false);
}

static void hv_xen_sched_poll(struct hv_xen_hc *hc)
{
	u32 ports[XEN_POLL_PORTS], max = hv_xen_max_ports(hc->vcpu->vm->xen), i;
	struct xen_poll_64 poll = {};
	struct xen_poll_32 poll32;
	int r;

	if (hc->wide) {
		r = hv_xen_copy_in(hc, &poll, hc->param[1], sizeof(poll));
	} else {
		r = hv_xen_copy_in(hc, &poll32, hc->param[1], sizeof(poll32));
		if (!r)
			poll = (struct xen_poll_64) { .ports = poll32.ports,
				.nr_ports = poll32.nr_ports, .timeout = poll32.timeout };
	}
	hc->result = -KVM_EFAULT;
	if (r)
		return;
	hc->result = -KVM_EINVAL;
	if (poll.nr_ports > XEN_POLL_PORTS)
		return;
	hc->result = -KVM_EFAULT;
	if (hv_xen_copy_in(hc, ports, poll.ports, poll.nr_ports * sizeof(ports[0])))
		return;
	hc->result = -KVM_EINVAL;
	for (i = 0; i < poll.nr_ports; i++)
		if (ports[i] >= max)
			return;
	hc->result = 0;
	hv_xen_poll(hc, &poll, ports);
}

/* Without ports of its own user space's guests do not wait for events here. */
static bool hv_xen_can_poll(const struct hv_vcpu *vcpu)
{
	return vcpu->lapic && (READ_ONCE(vcpu->vm->xen->config.flags) &
			       KVM_XEN_HVM_CONFIG_EVTCHN_SEND);
}

static bool hv_xen_sched_op(struct hv_xen_hc *hc)
{
	hc->result = 0;
	if (hc->param[0] == XEN_SCHED_POLL && hv_xen_can_poll(hc->vcpu))
		hv_xen_sched_poll(hc);
	else if (hc->param[0] == XEN_SCHED_YIELD || hc->param[0] == XEN_SCHED_POLL)
		hv_vcpu_yield_to_displaced(hc->vcpu);
	else
		return false;
	return true;
}

void hv_xen_timers_init(struct hv_xen *xen)
{
	hv_hrtimer_setup(&xen->timer, hv_xen_timer_fn, HRTIMER_MODE_ABS_HARD);
	hv_hrtimer_setup(&xen->poll_timer, hv_xen_poll_fn, HRTIMER_MODE_ABS_HARD);
}

/* ---- all of them ---------------------------------------------------------------------------- */

static bool hv_xen_version(struct hv_xen_hc *hc)
{
	u32 version = READ_ONCE(hc->vcpu->vm->xen->version);

	hc->result = version;
	return hc->param[0] == XEN_VERSION_NUMBER && version;
}

static void hv_xen_decode(struct hv_xen_hc *hc)
{
	static const u8 wide[HV_XEN_PARAMS] = {
		HV_RDI, HV_RSI, HV_RDX, HV_R10, HV_R8, HV_R9,
	};
	static const u8 narrow[HV_XEN_PARAMS] = {
		HV_RBX, HV_RCX, HV_RDX, HV_RSI, HV_RDI, HV_RBP,
	};
	const u64 *gpr = hc->vcpu->regs.gpr;
	unsigned int i;

	hc->wide = hv_64bit_mode(hc->vcpu);
	hc->nr = hc->wide ? gpr[HV_RAX] : (u32)gpr[HV_RAX];
	for (i = 0; i < HV_XEN_PARAMS; i++)
		hc->param[i] = hc->wide ? gpr[wide[i]] : (u32)gpr[narrow[i]];
}

static void hv_xen_to_user(const struct hv_xen_hc *hc, u8 cpl)
{
	struct kvm_run *run = hc->vcpu->run;

	run->exit_reason = KVM_EXIT_XEN;
	run->xen = (struct kvm_xen_exit) {
		.type = KVM_EXIT_XEN_HCALL,
		.u.hcall = { .longmode = hc->wide, .cpl = cpl, .input = hc->nr },
	};
	memcpy(run->xen.u.hcall.params, hc->param, sizeof(hc->param));
}

/* 1: done, 0: for user space, -EAGAIN: @may_sleep is needed. */
static int hv_xen_do(struct hv_xen_hc *hc, bool may_sleep)
{
	if (hc->nr == XEN_HC_XEN_VERSION)
		return hv_xen_version(hc);
	if (hc->nr != XEN_HC_SET_TIMER_OP && hc->nr != XEN_HC_VCPU_OP &&
	    hc->nr != XEN_HC_SCHED_OP && hc->nr != XEN_HC_EVENT_CHANNEL_OP)
		return 0;
	if (!may_sleep)
		return -EAGAIN;
	switch (hc->nr) {
	case XEN_HC_SET_TIMER_OP:
		return hv_xen_set_timer(hc);
	case XEN_HC_VCPU_OP:
		return hv_xen_vcpu_op(hc);
	case XEN_HC_SCHED_OP:
		return hv_xen_sched_op(hc);
	default:
		return hv_xen_event_op(hc);
	}
}

int hv_xen_hypercall(struct hv_vcpu *vcpu, u64 *result, bool may_sleep)
{
	struct hv_xen_hc hc = { .vcpu = vcpu, .xen = hv_xen(vcpu) };
	u8 cpl;
	int r;

	hv_regs_need(vcpu, HV_REGS_CODE | HV_REGS_CR);
	cpl = vcpu->regs.seg[HV_SS].dpl;
	hv_xen_decode(&hc);
	r = cpl ? 0 : hv_xen_do(&hc, may_sleep);
	if (r < 0)
		return HV_NEXT_SLEEP;
	trace_hv_hypercall(vcpu->id, hc.nr, hc.param[0], hc.param[1], hc.param[2], hc.param[3]);
	if (!r) {
		hv_xen_to_user(&hc, cpl);
		return HV_NEXT_USER;
	}
	*result = hc.result;
	return HV_NEXT_NONE;
}
