// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exceptions, NMIs and interrupts on their way into the guest.
 *
 * An event is pending until it is handed to the hardware, injected until the guest has taken it. An
 * exit in between brings it back as injected (the vendor's exit code does that), and then it goes
 * before everything else.
 */
#include <asm/processor-flags.h>

#include "events.h"
#include "hv.h"
#include "irq/irq.h"
#include "irq/lapic.h"
#include "trace.h"
#include "x86/x86.h"

#define HV_DF	8
#define HV_PF	14

/* Faults in the sense of SDM table 6-5: two of them in a row make a double fault. */
static bool hv_contributory(u8 vector)
{
	return vector == 0 || (vector >= 10 && vector <= 13);
}

/* Exceptions that restart their instruction set RF in the pushed flags (SDM vol. 3, 17.3.1.1). */
static bool hv_is_fault(u8 vector)
{
	switch (vector) {
	case 1:		/* #DB: instruction breakpoints only, which the CPU raises itself */
	case 3:		/* #BP */
	case 4:		/* #OF */
	case HV_DF:
	case 18:	/* #MC */
		return false;
	default:
		return true;
	}
}

static void hv_raise(struct hv_vcpu *vcpu, const struct hv_exception *new)
{
	struct hv_exception *old = &vcpu->events.exception;
	struct hv_exception df = { .vector = HV_DF, .has_error = true };

	hv_request(vcpu, HV_REQ_EVENT);
	if (!old->pending && !old->injected) {
		*old = *new;
		old->pending = true;
		return;
	}
	if (old->vector == HV_DF) {
		memset(old, 0, sizeof(*old));
		hv_request(vcpu, HV_REQ_TRIPLE_FAULT);
		return;
	}
	if ((hv_contributory(old->vector) && hv_contributory(new->vector)) ||
	    (old->vector == HV_PF && (new->vector == HV_PF || hv_contributory(new->vector))))
		*old = df;
	else
		/* The first one's instruction runs again and raises it again. */
		*old = *new;
	old->pending = true;
	old->injected = false;
}

void hv_queue_exception(struct hv_vcpu *vcpu, u8 vector)
{
	hv_raise(vcpu, &(struct hv_exception) { .vector = vector });
}

void hv_queue_exception_error(struct hv_vcpu *vcpu, u8 vector, u32 error_code)
{
	hv_raise(vcpu, &(struct hv_exception) {
		.vector = vector, .has_error = true, .error_code = error_code });
}

void hv_queue_exception_payload(struct hv_vcpu *vcpu, u8 vector, u64 payload)
{
	hv_raise(vcpu, &(struct hv_exception) {
		.vector = vector, .has_payload = true, .payload = payload });
}

void hv_queue_page_fault(struct hv_vcpu *vcpu, u64 cr2, u32 error_code)
{
	hv_raise(vcpu, &(struct hv_exception) {
		.vector = HV_PF, .has_error = true, .error_code = error_code,
		.has_payload = true, .payload = cr2 });
}

void hv_queue_nmi(struct hv_vcpu *vcpu)
{
	atomic_inc(&vcpu->events.nmi_queued);
	hv_request(vcpu, HV_REQ_NMI);
	hv_request_kick(vcpu, HV_REQ_EVENT);
}

void hv_take_nmis(struct hv_vcpu *vcpu)
{
	unsigned int limit = 2, n;

	/* One in service leaves room for one more (SDM vol. 3, 6.7.1). */
	if (vcpu->events.nmi_injected || (hv_call(blocking_get)(vcpu) & HV_BLOCK_NMI))
		limit = 1;
	n = vcpu->events.nmi_pending + atomic_xchg(&vcpu->events.nmi_queued, 0);
	vcpu->events.nmi_pending = min(n, limit);
	hv_request(vcpu, HV_REQ_EVENT);
}

void hv_exception_payload_apply(struct hv_vcpu *vcpu)
{
	struct hv_exception *ex = &vcpu->events.exception;

	if (!ex->has_payload)
		return;
	ex->has_payload = false;
	switch (ex->vector) {
	case 1:
		hv_regs_need(vcpu, HV_REGS_DR);
		/* BLD (bit 11) and RTM (bit 16) are active low; the payload has them inverted. */
		vcpu->regs.dr6 &= ~0xfULL;
		vcpu->regs.dr6 |= ex->payload & ~(BIT_ULL(11) | BIT_ULL(12) | BIT_ULL(16));
		vcpu->regs.dr6 |= 0xffff0ff0ULL & ~BIT_ULL(16);
		if (!(ex->payload & BIT_ULL(16)))
			vcpu->regs.dr6 |= BIT_ULL(16);
		hv_regs_dirty(vcpu, HV_REGS_DR);
		break;
	case HV_PF:
		hv_regs_need(vcpu, HV_REGS_CR);
		vcpu->regs.cr2 = ex->payload;
		hv_regs_dirty(vcpu, HV_REGS_CR);
		break;
	}
}

static void hv_inject_exception(struct hv_vcpu *vcpu)
{
	struct hv_exception *ex = &vcpu->events.exception;

	hv_exception_payload_apply(vcpu);
	if (hv_is_fault(ex->vector))
		vcpu->regs.rflags |= X86_EFLAGS_RF;
	if (ex->vector == 1) {
		/* #DB clears DR7.GD before the handler runs (SDM vol. 3, 17.2.4). */
		hv_regs_need(vcpu, HV_REGS_DR);
		vcpu->regs.dr7 &= ~BIT_ULL(13);
		hv_regs_dirty(vcpu, HV_REGS_DR);
	}
	/* Real mode pushes no error code. */
	hv_regs_need(vcpu, HV_REGS_CR);
	if (!(vcpu->regs.cr0 & X86_CR0_PE))
		ex->has_error = false;
	ex->pending = false;
	ex->injected = true;
	trace_hv_inj_exception(vcpu->id, ex->vector, ex->has_error, ex->error_code);
	hv_call(inject)(vcpu);
}

/*
 * Does this vCPU take interrupts from user space's controller: everything, or an 8259 of its own?
 */
static bool hv_user_irq_wired(const struct hv_vcpu *vcpu)
{
	return !vcpu->vm->pic && (!vcpu->lapic || hv_lapic_takes_pic(vcpu->lapic));
}

static bool hv_user_irq_waiting(const struct hv_vcpu *vcpu)
{
	return vcpu->events.user_irq >= 0 && hv_user_irq_wired(vcpu);
}

bool hv_user_irq_ready(struct hv_vcpu *vcpu)
{
	if (vcpu->vm->pic)
		return true;
	return hv_user_irq_wired(vcpu) && vcpu->events.user_irq < 0 &&
	       !vcpu->events.interrupt.injected && hv_call(event_allowed)(vcpu, HV_EVENT_IRQ);
}

bool hv_user_wants_window(struct hv_vcpu *vcpu)
{
	return !vcpu->vm->pic && READ_ONCE(vcpu->run->request_interrupt_window) &&
	       hv_user_irq_ready(vcpu);
}

int hv_exit_irq_window(struct hv_vcpu *vcpu)
{
	vcpu->stats.irq_window_exits++;
	hv_request(vcpu, HV_REQ_EVENT);
	if (!hv_user_wants_window(vcpu))
		return HV_NEXT_RESUME;
	vcpu->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
	return HV_NEXT_USER;
}

/* Returns the vector to inject from whatever interrupt controller the VM has, or -1. */
static int hv_irq_take(struct hv_vcpu *vcpu)
{
	int vector;

	if (!hv_user_irq_waiting(vcpu))
		return vcpu->lapic ? hv_irq_ack(vcpu) : -1;
	vector = vcpu->events.user_irq;
	vcpu->events.user_irq = -1;
	return vector;
}

bool hv_irq_waiting(struct hv_vcpu *vcpu)
{
	return hv_user_irq_waiting(vcpu) || (vcpu->lapic && hv_irq_pending(vcpu) >= 0);
}

/* The same, but for interrupts that the CPU takes from the LAPIC's page by itself. */
static bool hv_irq_to_inject(struct hv_vcpu *vcpu)
{
	int vector;

	if (hv_user_irq_waiting(vcpu))
		return true;
	vector = vcpu->lapic ? hv_irq_pending(vcpu) : -1;
	/* 0 is an interrupt of the PIC, whose vector is not known yet. */
	return vector == 0 || (vector > 0 && !vcpu->lapic->virtual);
}

static bool hv_inject_irq(struct hv_vcpu *vcpu)
{
	int vector = hv_irq_take(vcpu);

	if (vector < 0)
		return false;
	vcpu->events.interrupt.vector = vector;
	vcpu->events.interrupt.soft = false;
	vcpu->events.interrupt.injected = true;
	vcpu->stats.irq_injections++;
	trace_hv_inj_irq(vcpu->id, vector);
	if (unlikely(vcpu->para.eoi_on))
		hv_pv_eoi_arm(vcpu, vector);
	hv_call(inject)(vcpu);
	return true;
}

static bool hv_inject_nmi(struct hv_vcpu *vcpu)
{
	vcpu->events.nmi_pending--;
	vcpu->events.nmi_injected = true;
	vcpu->stats.nmi_injections++;
	hv_call(inject)(vcpu);
	return true;
}

void hv_events_inject(struct hv_vcpu *vcpu)
{
	struct hv_events *ev = &vcpu->events;
	bool busy = true;

	if (unlikely(vcpu->para.eoi_armed))
		hv_pv_eoi_exit(vcpu);
	if (ev->exception.injected || ev->nmi_injected || ev->interrupt.injected)
		hv_call(inject)(vcpu);
	else if (ev->exception.pending)
		hv_inject_exception(vcpu);
	else
		busy = false;

	/* Stepping through code, user space may want to see that code and no handlers. */
	if (unlikely(vcpu->guest_debug & KVM_GUESTDBG_BLOCKIRQ))
		return;

	if (unlikely(vcpu->smm.pending || atomic_read(&vcpu->smm.queued)) && hv_smi_waiting(vcpu)) {
		if (!busy) {
			hv_request(vcpu, HV_REQ_SMI);
			return;
		}
		hv_call(event_window)(vcpu, HV_EVENT_IRQ);
	}

	if (ev->nmi_pending) {
		if (!busy && hv_call(event_allowed)(vcpu, HV_EVENT_NMI))
			busy = hv_inject_nmi(vcpu);
		if (ev->nmi_pending)
			hv_call(event_window)(vcpu, HV_EVENT_NMI);
	}

	if (hv_irq_to_inject(vcpu)) {
		if (!busy && hv_call(event_allowed)(vcpu, HV_EVENT_IRQ))
			hv_inject_irq(vcpu);
		if (hv_irq_to_inject(vcpu))
			hv_call(event_window)(vcpu, HV_EVENT_IRQ);
	} else if (hv_user_irq_wired(vcpu) && READ_ONCE(vcpu->run->request_interrupt_window)) {
		hv_call(event_window)(vcpu, HV_EVENT_IRQ);
	}

	/* An exception still pending behind a re-injected event needs another look soon. */
	if (ev->exception.pending)
		hv_request(vcpu, HV_REQ_EVENT);
	if (vcpu->lapic && hv_lapic_tpr_threshold(vcpu) >= 0)
		hv_call(event_window)(vcpu, HV_EVENT_TPR);
}
