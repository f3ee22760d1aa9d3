// SPDX-License-Identifier: GPL-2.0-only
/* Events into the guest: injection, windows, what keeps them out, and those that come back. */
#include <asm/processor-flags.h>

#include "../irq/irq.h"
#include "../x86/x86.h"
#include "vmx.h"

#define VMX_BP		3
#define VMX_OF		4

static u32 vmx_exception_info(const struct hv_exception *ex)
{
	if (ex->vector == VMX_BP || ex->vector == VMX_OF) {
		/* Traps of the one-byte instructions INT3 and INTO: RIP is where they are. */
		vmx_write(VMX_ENTRY_INSN_LEN, 1);
		return ex->vector | VMX_INTR_SOFT_EXCEPTION | VMX_INTR_VALID;
	}
	if (!ex->has_error)
		return ex->vector | VMX_INTR_EXCEPTION | VMX_INTR_VALID;
	vmx_write(VMX_ENTRY_EXCEPTION_ERROR, ex->error_code);
	return ex->vector | VMX_INTR_EXCEPTION | VMX_INTR_ERROR_CODE | VMX_INTR_VALID;
}

void vmx_inject(struct hv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	const struct hv_events *ev = &vcpu->events;
	u32 info;

	if (ev->exception.injected) {
		info = vmx_exception_info(&ev->exception);
	} else if (ev->nmi_injected) {
		/* The entry masks NMIs; it refuses if they are masked already (26.3.1.5). */
		vmx_blocking_write(vmx, vmx_blocking(vmx) & ~VMX_BLOCK_NMI);
		info = 2 | VMX_INTR_NMI | VMX_INTR_VALID;
	} else if (ev->interrupt.injected && ev->interrupt.soft) {
		vmx_write(VMX_ENTRY_INSN_LEN, 2);	/* INT n */
		info = ev->interrupt.vector | VMX_INTR_SOFT_INT | VMX_INTR_VALID;
	} else if (ev->interrupt.injected) {
		info = ev->interrupt.vector | VMX_INTR_EXTINT | VMX_INTR_VALID;
	} else {
		return;
	}
	vmx_write(VMX_ENTRY_INTR_INFO, info);
	vmx->event_set = true;
}

/* ---- what keeps events out ------------------------------------------------------------------- */

bool vmx_event_allowed(struct hv_vcpu *vcpu, enum hv_event_kind kind)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 shadow = VMX_BLOCK_STI | VMX_BLOCK_MOV_SS;

	if (kind == HV_EVENT_NMI)
		return !(vmx_blocking(vmx) & (shadow | VMX_BLOCK_NMI));
	return (vcpu->regs.rflags & X86_EFLAGS_IF) && !(vmx_blocking(vmx) & shadow);
}

void vmx_event_window(struct hv_vcpu *vcpu, enum hv_event_kind kind)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 shadow = VMX_BLOCK_STI | VMX_BLOCK_MOV_SS;
	int threshold;

	switch (kind) {
	case HV_EVENT_NMI:
		/*
		 * The NMI window opens at once after STI, where some CPUs refuse the NMI: wait for
		 * the end of the shadow instead.
		 */
		if ((vmx_blocking(vmx) & shadow) && (vcpu->regs.rflags & X86_EFLAGS_IF))
			vmx_cpu_ctls_set(vmx, vmx->cpu_ctls | VMX_CPU_INTR_WINDOW);
		else
			vmx_cpu_ctls_set(vmx, vmx->cpu_ctls | VMX_CPU_NMI_WINDOW);
		break;
	case HV_EVENT_IRQ:
		vmx_cpu_ctls_set(vmx, vmx->cpu_ctls | VMX_CPU_INTR_WINDOW);
		break;
	case HV_EVENT_TPR:
		threshold = hv_lapic_tpr_threshold(vcpu);
		if (threshold < 0 || vmx->tpr_threshold == threshold)
			break;
		vmx->tpr_threshold = threshold;
		vmx_write(VMX_TPR_THRESHOLD, threshold);
		break;
	}
}

u32 vmx_blocking_get(struct hv_vcpu *vcpu)
{
	u32 hw = vmx_blocking(to_vmx(vcpu)), bits = 0;

	if (hw & VMX_BLOCK_STI)
		bits |= KVM_X86_SHADOW_INT_STI;
	if (hw & VMX_BLOCK_MOV_SS)
		bits |= KVM_X86_SHADOW_INT_MOV_SS;
	if (hw & VMX_BLOCK_NMI)
		bits |= HV_BLOCK_NMI;
	return bits;
}

void vmx_blocking_set(struct hv_vcpu *vcpu, u32 mask, u32 bits)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 hw = vmx_blocking(vmx);

	if (mask & HV_BLOCK_SHADOW) {
		hw &= ~(VMX_BLOCK_STI | VMX_BLOCK_MOV_SS);
		/* Not both (26.3.1.5); where the two are not told apart, the stricter one. */
		if (bits & KVM_X86_SHADOW_INT_MOV_SS)
			hw |= VMX_BLOCK_MOV_SS;
		else if (bits & KVM_X86_SHADOW_INT_STI)
			hw |= VMX_BLOCK_STI;
	}
	if (mask & HV_BLOCK_NMI)
		hw = bits & HV_BLOCK_NMI ? hw | VMX_BLOCK_NMI : hw & ~VMX_BLOCK_NMI;
	if (hw == vmx_blocking(vmx))
		return;
	vmx_blocking_write(vmx, hw);
	/* The next entry looks at the flags again. */
	vmx->hw_rflags = 0;
}

/*
 * Entry refuses blocking by STI without IF, and a shadow with TF set unless the single step is
 * pending, or clear while one is (26.3.1.5).
 */
void vmx_flags_fix(struct vmx_vcpu *vmx)
{
	u64 rflags = vmx->vcpu.regs.rflags, pending, want;
	u32 blocking = vmx_blocking(vmx);

	if (!(blocking & (VMX_BLOCK_STI | VMX_BLOCK_MOV_SS)))
		return;
	if (!(rflags & X86_EFLAGS_IF))
		blocking &= ~VMX_BLOCK_STI;
	/* User space's step would be pending before the instruction it is meant for. */
	if (vmx->vcpu.guest_debug & KVM_GUESTDBG_SINGLESTEP)
		blocking &= ~(VMX_BLOCK_STI | VMX_BLOCK_MOV_SS);
	vmx_blocking_write(vmx, blocking);
	if (!(blocking & (VMX_BLOCK_STI | VMX_BLOCK_MOV_SS)))
		return;
	pending = vmx_read(VMX_GUEST_PENDING_DEBUG);
	want = rflags & X86_EFLAGS_TF ? pending | VMX_PENDING_DEBUG_BS :
					pending & ~VMX_PENDING_DEBUG_BS;
	if (pending != want)
		vmx_write(VMX_GUEST_PENDING_DEBUG, want);
}

/* ---- events that come back ------------------------------------------------------------------- */

/* Exits that can interrupt the delivery of an event (27.2.4). */
static bool vmx_interrupts_delivery(u32 reason)
{
	switch (reason & VMX_EXIT_BASIC) {
	case VMX_EXIT_EXCEPTION_NMI:
	case VMX_EXIT_TRIPLE_FAULT:
	case VMX_EXIT_TASK_SWITCH:
	case VMX_EXIT_APIC_ACCESS:
	case VMX_EXIT_EPT_VIOLATION:
	case VMX_EXIT_EPT_MISCONFIG:
	case VMX_EXIT_PML_FULL:
	case VMX_EXIT_NOTIFY:
		return true;
	default:
		return false;
	}
}

/* IRET had unmasked NMIs when it faulted in the end: it will run again. */
static bool vmx_nmi_unblocked(u32 reason)
{
	u32 info;

	switch (reason & VMX_EXIT_BASIC) {
	case VMX_EXIT_EPT_VIOLATION:
	case VMX_EXIT_PML_FULL:
		return vmx_read(VMX_EXIT_QUALIFICATION) & VMX_EPTV_NMI_UNBLOCKED;
	case VMX_EXIT_NOTIFY:
		return vmx_read(VMX_EXIT_QUALIFICATION) & VMX_NOTIFY_NMI_UNBLOCKED;
	case VMX_EXIT_EXCEPTION_NMI:
		info = vmx_read(VMX_EXIT_INTR_INFO);
		return (info & VMX_INTR_NMI_UNBLOCKED) && (info & VMX_INTR_VECTOR) != 8;
	default:
		return false;
	}
}

static void vmx_requeue(struct hv_vcpu *vcpu, u32 info, bool soft)
{
	struct hv_events *ev = &vcpu->events;
	u8 vector = info & VMX_INTR_VECTOR;

	switch (info & VMX_INTR_TYPE) {
	case VMX_INTR_NMI:
		ev->nmi_injected = true;
		break;
	case VMX_INTR_EXCEPTION:
		ev->exception.injected = true;
		ev->exception.vector = vector;
		ev->exception.has_error = info & VMX_INTR_ERROR_CODE;
		if (ev->exception.has_error)
			ev->exception.error_code = vmx_read(VMX_IDT_VECTORING_ERROR);
		break;
	case VMX_INTR_EXTINT:
		ev->interrupt.injected = true;
		ev->interrupt.soft = false;
		ev->interrupt.vector = vector;
		break;
	case VMX_INTR_SOFT_INT:
	case VMX_INTR_SOFT_EXCEPTION:
	case VMX_INTR_ICEBP:
		/* Its instruction runs again; unless there is none because it was injected. */
		if (!soft)
			break;
		ev->interrupt.injected = true;
		ev->interrupt.soft = true;
		ev->interrupt.vector = vector;
		break;
	}
}

/*
 * After an exit: the event that was injected has been delivered, unless the exit says that its
 * delivery, or that of one the guest met by itself, was interrupted.
 */
void vmx_requeue_event(struct hv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct hv_events *ev = &vcpu->events;
	u32 reason = vmx->exit_reason, info;
	bool soft;

	if (likely(!vmx->event_set && !vmx_interrupts_delivery(reason)))
		return;
	info = vmx_read(VMX_IDT_VECTORING_INFO);
	if (!(info & VMX_INTR_VALID) && vmx_nmi_unblocked(reason))
		vmx_blocking_write(vmx, vmx_blocking(vmx) | VMX_BLOCK_NMI);
	soft = ev->interrupt.injected && ev->interrupt.soft;
	if (vmx->event_set) {
		vmx->event_set = false;
		ev->exception.injected = false;
		ev->nmi_injected = false;
		ev->interrupt.injected = false;
	}
	if (!(info & VMX_INTR_VALID))
		return;
	hv_request(vcpu, HV_REQ_EVENT);
	vmx_requeue(vcpu, info, soft);
}
