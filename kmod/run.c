// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_RUN: the file to read first.
 *
 * hv_vcpu_run() completes what user space was asked for and then alternates between two things:
 * hv_run_inner(), which enters the guest again and again with the guest's FPU loaded and preemption
 * off, and everything that may sleep: requests, page faults that need I/O, a halted guest's wait,
 * the kernel's own work for this thread.
 *
 * vm->srcu is held for reading all the time, guest mode included, but not while the vCPU sleeps;
 * whoever replaces the memory slots asks for it with HV_REQ_SLOTS.
 */
#include <linux/context_tracking.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/vtime.h>
#include <linux/wait.h>
#include <asm/cpufeature.h>
#include <asm/nospec-branch.h>
#include <asm/processor-flags.h>

#include "compat/guest_work.h"
#include "compat/kvm_run.h"
#include "events.h"
#include "hv.h"
#include "irq/irq.h"
#include "trace.h"
#include "x86/x86.h"

static unsigned int halt_poll_ns = 200000;
module_param(halt_poll_ns, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns, "longest time to poll before a halted vCPU sleeps, in ns; 0: never");

#define HV_POLL_START_NS 10000

/* ---- requests ------------------------------------------------------------------------------- */

/* Those that need neither sleep nor leaving the inner loop; IRQs on or off. */
static void hv_requests_quick(struct hv_vcpu *vcpu)
{
	vcpu->stats.requests++;
	if (hv_request_take(vcpu, HV_REQ_TLB_FLUSH)) {
		vcpu->stats.tlb_flushes++;
		hv_call(tlb_flush)(vcpu);
	}
	if (hv_request_take(vcpu, HV_REQ_APIC))
		hv_ops.update(vcpu);
	if (hv_request_take(vcpu, HV_REQ_TIMER))
		hv_lapic_timer_inject(vcpu);
	if (hv_request_take(vcpu, HV_REQ_NMI))
		hv_take_nmis(vcpu);
	hv_request_take(vcpu, HV_REQ_UNBLOCK);
	if (hv_request_take(vcpu, HV_REQ_EVENT))
		hv_events_inject(vcpu);
}

#define HV_REQS_QUICK (BIT(HV_REQ_TLB_FLUSH) | BIT(HV_REQ_TIMER) | BIT(HV_REQ_NMI) | \
		       BIT(HV_REQ_EVENT) | BIT(HV_REQ_UNBLOCK) | BIT(HV_REQ_APIC))

/*
 * Let go of vm->srcu until those who asked for it have what they wait for. Taking it again at once
 * would not do: the grace period may begin after that, and wait for this vCPU, which has been asked
 * already and stays in the guest.
 */
void hv_srcu_relock(struct hv_vcpu *vcpu)
{
	struct hv_vm *vm = vcpu->vm;

	clear_bit(HV_REQ_SLOTS, &vcpu->requests);
	srcu_read_unlock(&vm->srcu, vcpu->srcu_idx);
	wait_event_killable(vm->quiesce_wait, !atomic_read(&vm->quiescing));
	vcpu->srcu_idx = srcu_read_lock(&vm->srcu);
}

static bool hv_event_injected(const struct hv_vcpu *vcpu)
{
	const struct hv_events *ev = &vcpu->events;

	return ev->exception.injected || ev->nmi_injected || ev->interrupt.injected;
}

/* Those that may sleep or end KVM_RUN. */
static int hv_requests_slow(struct hv_vcpu *vcpu)
{
	int next;

	if (hv_request_take(vcpu, HV_REQ_VM_DEAD)) {
		hv_request(vcpu, HV_REQ_VM_DEAD);	/* for ever */
		return -EIO;
	}
	if (test_bit(HV_REQ_SLOTS, &vcpu->requests))
		hv_srcu_relock(vcpu);
	if (hv_request_take(vcpu, HV_REQ_UPDATE))
		hv_ops.update(vcpu);
	if (hv_request_take(vcpu, HV_REQ_TRIPLE_FAULT)) {
		vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
		return HV_NEXT_USER;
	}
	if (hv_request_take(vcpu, HV_REQ_DEBUG)) {
		hv_debug_exit(vcpu, 1, HV_DR6_BS);
		return HV_NEXT_USER;
	}
	if (hv_request_take(vcpu, HV_REQ_SMI)) {
		/* User space may have changed its mind, or the state, before KVM_RUN. */
		if (hv_smi_waiting(vcpu) && !hv_event_injected(vcpu))
			hv_smm_enter(vcpu);
		hv_request(vcpu, HV_REQ_EVENT);
	}
	if (hv_request_take(vcpu, HV_REQ_BUS_LOCK)) {
		vcpu->run->exit_reason = KVM_EXIT_X86_BUS_LOCK;
		return HV_NEXT_USER;
	}
	if (hv_request_take(vcpu, HV_REQ_TPR_ACCESS)) {
		hv_tpr_access_exit(vcpu);
		return HV_NEXT_USER;
	}
	if (hv_request_take(vcpu, HV_REQ_VAPIC))
		hv_vapic_fault_in(vcpu);
	if (hv_request_take(vcpu, HV_REQ_RING_FULL) && hv_dirty_ring_full(vcpu)) {
		hv_request(vcpu, HV_REQ_RING_FULL);
		vcpu->run->exit_reason = KVM_EXIT_DIRTY_RING_FULL;
		return HV_NEXT_USER;
	}
	if (hv_request_take(vcpu, HV_REQ_IOAPIC_EOI)) {
		vcpu->run->exit_reason = KVM_EXIT_IOAPIC_EOI;
		vcpu->run->eoi.vector = hv_lapic_eoi_vector(vcpu);
		return HV_NEXT_USER;
	}
	if (hv_request_take(vcpu, HV_REQ_APF))
		hv_apf_update(vcpu);
	if (hv_request_take(vcpu, HV_REQ_PV_EOI))
		hv_pv_eoi_disarm(vcpu);
	if (hv_request_take(vcpu, HV_REQ_HYPERV)) {
		next = hv_hyperv_exit(vcpu);
		if (next != HV_NEXT_RESUME)
			return next;
	}
	if (hv_request_take(vcpu, HV_REQ_XEN))
		hv_xen_update(vcpu);
	if (hv_request_take(vcpu, HV_REQ_CLOCK) || hv_clock_stale(vcpu)) {
		hv_clock_update(vcpu);
		hv_hyperv_clock_update(vcpu);
	}
	if (hv_request_take(vcpu, HV_REQ_STIMER))
		hv_stimers_run(vcpu);
	if (hv_request_take(vcpu, HV_REQ_STEAL))
		hv_steal_update(vcpu);
	if (hv_request_take(vcpu, HV_REQ_APIC_PAGE))
		hv_apic_page_unmap(vcpu->vm);
	if (hv_request_take(vcpu, HV_REQ_APIC_EVENT) && vcpu->lapic)
		hv_lapic_accept_event(vcpu);
	return HV_NEXT_RESUME;
}

/* ---- the inner loop ------------------------------------------------------------------------ */

/* Time and RCU: from here on this CPU is the guest's, as far as the kernel is concerned. */
static void hv_guest_begin(bool quiescent)
{
	vtime_account_guest_enter();
	if (!context_tracking_guest_enter() && quiescent)
		rcu_note_context_switch(false);
}

static bool hv_must_leave(const struct hv_vcpu *vcpu)
{
	return (READ_ONCE(vcpu->requests) & ~HV_REQS_QUICK) || __xfer_to_guest_mode_work_pending();
}

/*
 * Run the guest until something needs more than this loop: returns what the last exit's handler
 * said, HV_NEXT_RESUME when a request or the kernel's work for the thread ended it.
 *
 * The quiescent state is reported on the first entry and after each host interrupt: a guest that
 * never leaves this loop is interrupted by the host's tick at least.
 */
static int hv_run_inner(struct hv_vcpu *vcpu)
{
	int next = HV_NEXT_RESUME;
	u64 irqs = vcpu->stats.irq_exits - 1;

	preempt_disable();
	vcpu->pv.between_insns = false;
	hv_fpu_enter(vcpu);
	hv_call(inner_enter)(vcpu);
	hv_debug_enter(vcpu);
	for (;;) {
		local_irq_disable();
		/*
		 * Published before requests are read: whoever sets a request after this sends an
		 * IPI, which ends guest mode at once. Pairs with hv_vcpu_kick().
		 */
		smp_store_mb(vcpu->mode, HV_IN_GUEST);
		if (unlikely(READ_ONCE(vcpu->requests) || __xfer_to_guest_mode_work_pending())) {
			if (hv_must_leave(vcpu))
				break;
			hv_requests_quick(vcpu);
			if (hv_must_leave(vcpu))
				break;
		}
		if (unlikely(vcpu->vapic_addr) && !hv_vapic_enter(vcpu)) {
			hv_request(vcpu, HV_REQ_VAPIC);
			break;
		}
		if (vcpu->regs_dirty) {
			hv_call(regs_store)(vcpu, vcpu->regs_dirty);
			vcpu->regs_dirty = 0;
		}
		trace_hv_entry(vcpu->id, vcpu->regs.rip);
		hv_guest_begin(irqs != vcpu->stats.irq_exits);
		irqs = vcpu->stats.irq_exits;
		hv_call(run)(vcpu);
		context_tracking_guest_exit();
		WRITE_ONCE(vcpu->mode, HV_OUTSIDE_GUEST);
		vcpu->stats.exits++;
		/* A host interrupt that ended guest mode is taken here, in the guest's time. */
		local_irq_enable();
		local_irq_disable();
		vtime_account_guest_exit();
		local_irq_enable();
		if (unlikely(vcpu->vapic_addr))
			hv_vapic_leave(vcpu);
		if (unlikely(vcpu->para.eoi_armed))
			hv_pv_eoi_exit(vcpu);
		next = hv_call(handle_exit)(vcpu, false);
		if (next != HV_NEXT_RESUME || vcpu->mp_state != KVM_MP_STATE_RUNNABLE)
			goto leave;
	}
	WRITE_ONCE(vcpu->mode, HV_OUTSIDE_GUEST);
	local_irq_enable();
	next = HV_NEXT_RESUME;
leave:
	/* What the guest has taught the branch predictor must not steer this process (VMSCAPE). */
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
	hv_debug_leave(vcpu);
	hv_call_cond(inner_leave)(vcpu);
	hv_fpu_leave(vcpu);
	vcpu->pv.between_insns = next == HV_NEXT_RESUME;
	preempt_enable();
	vcpu->stats.inner_leaves++;
	if (next == HV_NEXT_SLEEP) {
		next = hv_call(handle_exit)(vcpu, true);
		vcpu->pv.between_insns = next == HV_NEXT_RESUME;
	}
	return next;
}

/* ---- a halted vCPU ------------------------------------------------------------------------- */

bool hv_vcpu_runnable(struct hv_vcpu *vcpu)
{
	if (READ_ONCE(vcpu->requests) & (BIT(HV_REQ_UNBLOCK) | BIT(HV_REQ_VM_DEAD) |
					 BIT(HV_REQ_TRIPLE_FAULT) | BIT(HV_REQ_APIC_EVENT)))
		return true;
	if (vcpu->mp_state == KVM_MP_STATE_RUNNABLE && !vcpu->apf.halted)
		return true;
	if (vcpu->lapic && hv_lapic_has_event(vcpu))
		return true;
	if (vcpu->mp_state != KVM_MP_STATE_HALTED && !vcpu->apf.halted)
		return false;
	if (unlikely(hv_smi_waiting(vcpu)) || READ_ONCE(vcpu->para.unhalted))
		return true;
	/* Only this request: the others' memory slots and MSR filter are not ours while halted. */
	if (hv_request_take(vcpu, HV_REQ_TIMER))
		hv_lapic_timer_inject(vcpu);
	if (vcpu->events.exception.pending || vcpu->events.exception.injected ||
	    vcpu->events.interrupt.injected || vcpu->events.nmi_injected)
		return true;
	if ((vcpu->events.nmi_pending || atomic_read(&vcpu->events.nmi_queued)) &&
	    hv_call(event_allowed)(vcpu, HV_EVENT_NMI))
		return true;
	return hv_irq_waiting(vcpu) && hv_call(event_allowed)(vcpu, HV_EVENT_IRQ);
}

void hv_vcpu_unhalt(struct hv_vcpu *vcpu)
{
	if (vcpu->mp_state == KVM_MP_STATE_HALTED)
		vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
	vcpu->apf.halted = false;
	WRITE_ONCE(vcpu->para.unhalted, false);
	if (unlikely(vcpu->xen))
		hv_xen_poll_end(vcpu);
}

/* Must the thread of a halted vCPU do something, which may or may not end HLT? */
static bool hv_vcpu_has_work(const struct hv_vcpu *vcpu)
{
	return READ_ONCE(vcpu->requests) & (BIT(HV_REQ_APF) | BIT(HV_REQ_STIMER) |
					    BIT(HV_REQ_XEN));
}

static bool hv_poll(struct hv_vcpu *vcpu)
{
	u64 end = ktime_get_ns() + vcpu->halt_poll_ns;

	do {
		if (hv_vcpu_runnable(vcpu) || hv_vcpu_has_work(vcpu))
			return true;
		cpu_relax();
	} while (!need_resched() && !signal_pending(current) && ktime_get_ns() < end);
	return false;
}

/* Longer polls after short waits, none after long ones. */
static void hv_poll_adapt(struct hv_vcpu *vcpu, bool polled, u64 waited_ns)
{
	s64 own = READ_ONCE(vcpu->vm->halt_poll_ns);
	u64 max = own < 0 ? READ_ONCE(halt_poll_ns) : own;

	if (polled)
		vcpu->stats.halt_polls_ok++;
	else if (vcpu->halt_poll_ns)
		vcpu->stats.halt_polls_failed++;
	if (polled && waited_ns <= vcpu->halt_poll_ns)
		return;
	if (waited_ns > max)
		vcpu->halt_poll_ns = 0;
	else
		vcpu->halt_poll_ns = min(max, max_t(u64, vcpu->halt_poll_ns * 2, HV_POLL_START_NS));
}

/* Wait until the vCPU has something to do; HV_NEXT_RESUME, or -EINTR. */
static int hv_vcpu_block(struct hv_vcpu *vcpu)
{
	u64 start = ktime_get_ns();
	bool polled;

	hv_lapic_timer_halt(vcpu);
	/* The guest may say that it polls itself before it halts (MSR_KVM_POLL_CONTROL). */
	polled = vcpu->halt_poll_ns && (vcpu->msrs.poll_control & 1) && hv_poll(vcpu);
	if (!polled) {
		srcu_read_unlock(&vcpu->vm->srcu, vcpu->srcu_idx);
		prepare_to_rcuwait(&vcpu->wait);
		for (;;) {
			set_current_state(TASK_INTERRUPTIBLE);
			/*
			 * Reads what a waker wrote before it woke us; set_current_state orders it.
			 */
			if (hv_vcpu_runnable(vcpu) || hv_vcpu_has_work(vcpu) ||
			    signal_pending(current))
				break;
			schedule();
		}
		finish_rcuwait(&vcpu->wait);
		vcpu->srcu_idx = srcu_read_lock(&vcpu->vm->srcu);
	}
	hv_lapic_timer_unhalt(vcpu);
	hv_poll_adapt(vcpu, polled, ktime_get_ns() - start);
	trace_hv_vcpu_wakeup(vcpu->id, ktime_get_ns() - start, polled);

	if (vcpu->lapic && hv_lapic_has_event(vcpu))
		hv_lapic_accept_event(vcpu);
	else if (hv_vcpu_runnable(vcpu))
		hv_vcpu_unhalt(vcpu);
	hv_request(vcpu, HV_REQ_EVENT);
	return HV_NEXT_RESUME;
}

/* ---- KVM_RUN ------------------------------------------------------------------------------- */

/* The kernel wants something of this thread: reschedule, task work, signals. */
static int hv_thread_work(struct hv_vcpu *vcpu)
{
	int r;

	srcu_read_unlock(&vcpu->vm->srcu, vcpu->srcu_idx);
	r = hv_handle_guest_work();
	vcpu->srcu_idx = srcu_read_lock(&vcpu->vm->srcu);
	return r;
}

static int hv_run_loop(struct hv_vcpu *vcpu)
{
	int next;

	/* It may be too new to have been asked. */
	if (unlikely(atomic_read(&vcpu->vm->quiescing)))
		hv_srcu_relock(vcpu);
	for (;;) {
		next = hv_requests_slow(vcpu);
		if (next != HV_NEXT_RESUME)
			return next;
		if (vcpu->mp_state == KVM_MP_STATE_RUNNABLE && !vcpu->apf.halted)
			next = hv_run_inner(vcpu);
		else
			next = hv_vcpu_block(vcpu);
		if (next != HV_NEXT_RESUME)
			return next;
		if (hv_user_wants_window(vcpu)) {
			vcpu->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
			return HV_NEXT_USER;
		}
		/* What comes up after this is seen in hv_run_inner(), with interrupts off. */
		if (__xfer_to_guest_mode_work_pending()) {
			next = hv_thread_work(vcpu);
			if (next)
				return next;
		}
	}
}

/* What the ABI promises in the shared page at each return to user space. */
static void hv_fill_run(struct hv_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	run->if_flag = !!(vcpu->regs.rflags & X86_EFLAGS_IF);
	run->cr8 = vcpu->lapic ? hv_lapic_get_cr8(vcpu) : vcpu->user_cr8;
	run->apic_base = vcpu->msrs.apic_base;
	run->flags = vcpu->smm.active ? KVM_RUN_X86_SMM : 0;
	if (unlikely(vcpu->bus_locked)) {
		/* An exit of another kind carries the news as well. */
		run->flags |= KVM_RUN_X86_BUS_LOCK;
		vcpu->bus_locked = false;
		clear_bit(HV_REQ_BUS_LOCK, &vcpu->requests);
	}
	run->ready_for_interrupt_injection = hv_user_irq_ready(vcpu);
	hv_sync_store(vcpu);
}

static int hv_signal_exit(struct hv_vcpu *vcpu, int next)
{
	if (next == -EINTR) {
		vcpu->run->exit_reason = KVM_EXIT_INTR;
		vcpu->stats.signal_exits++;
	}
	return next;
}

static int hv_run_checked(struct hv_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	int next;

	if (vcpu->mp_state == KVM_MP_STATE_UNINITIALIZED) {
		if (hv_immediate_exit(run))
			return -EINTR;
		/* Events may come before the vCPU does; it is not to wait with them at hand. */
		if (hv_request_take(vcpu, HV_REQ_XEN))
			hv_xen_update(vcpu);
		next = hv_vcpu_block(vcpu);
		if (next == HV_NEXT_RESUME)
			next = signal_pending(current) ? -EINTR : -EAGAIN;
		return hv_signal_exit(vcpu, next);
	}
	if (hv_sync_check(run) || hv_sync_load(vcpu))
		return -EINVAL;
	if (!vcpu->vm->pic && READ_ONCE(run->request_interrupt_window))
		hv_request(vcpu, HV_REQ_EVENT);
	if (!vcpu->lapic)
		vcpu->user_cr8 = READ_ONCE(run->cr8) & 0xf;
	next = hv_emulate_complete(vcpu);
	hv_hyperv_complete(vcpu);
	if (next != HV_NEXT_RESUME)
		return next;
	/* The exit that was completed stays what exit_reason says: user space may look again. */
	if (hv_immediate_exit(run))
		return -EINTR;
	if (hv_steal_due(vcpu))
		hv_request(vcpu, HV_REQ_STEAL);
	if (unlikely(vcpu->xen))
		hv_xen_run_begin(vcpu);
	run->exit_reason = KVM_EXIT_UNKNOWN;
	return hv_signal_exit(vcpu, hv_run_loop(vcpu));
}

int hv_vcpu_run(struct hv_vcpu *vcpu)
{
	bool step;
	int r;

	hv_vcpu_adopt_thread(vcpu);
	/*
	 * What is blocked outside of KVM_RUN is kept where the kernel looks for it: a signal that
	 * only ends KVM_RUN must not kill the process because it has no handler.
	 */
	if (vcpu->sigset_active)
		sigprocmask(SIG_SETMASK, &vcpu->sigset, &current->real_blocked);
	step = hv_debug_step_begin(vcpu);
	r = hv_run_checked(vcpu);
	hv_pv_eoi_disarm(vcpu);
	/* The guest polls again, if it likes. */
	if (unlikely(vcpu->xen) && hv_xen_polling(vcpu))
		hv_vcpu_unhalt(vcpu);
	if (unlikely(step))
		vcpu->regs.rflags &= ~X86_EFLAGS_TF;
	vcpu->stats.user_exits++;
	hv_fill_run(vcpu);
	if (vcpu->sigset_active) {
		sigprocmask(SIG_SETMASK, &current->real_blocked, NULL);
		sigemptyset(&current->real_blocked);
	}
	return r < 0 ? r : 0;
}
