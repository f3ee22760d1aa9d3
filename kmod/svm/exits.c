// SPDX-License-Identifier: GPL-2.0-only
/*
 * SVM's VM exits: what the control block says happened, handed to the common handlers. An exit
 * code has one handler; the few that dominate are tested first, the rest is a table.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/ratelimit.h>
#include <asm/cpufeature.h>
#include <asm/mce.h>
#include <asm/processor-flags.h>

#include "../irq/irq.h"
#include "../mmu/mmu.h"
#include "trace.h"
#include "../x86/x86.h"
#include "svm.h"

typedef int (*svm_handler)(struct hv_vcpu *vcpu, bool may_sleep);

static int svm_exit_nothing(struct hv_vcpu *vcpu, bool may_sleep)
{
	/* Interrupts, NMIs and SMIs of the host were taken when GIF came back. */
	return HV_NEXT_RESUME;
}

static int svm_exit_irq_window(struct hv_vcpu *vcpu, bool may_sleep)
{
	struct svm_vmcb *vmcb = to_svm(vcpu)->vmcb;

	vmcb->int_ctl &= ~(SVM_V_IRQ | SVM_V_IGN_TPR | SVM_V_INTR_PRIO_MASK);
	vmcb->intercept1 &= ~SVM_I1_VINTR;
	vmcb->intercept_cr &= ~SVM_CR_WRITE(8);
	svm_dirty(vmcb, SVM_CLEAN_INTR | SVM_CLEAN_INTERCEPTS);
	return hv_exit_irq_window(vcpu);
}

static int svm_exit_npf(struct hv_vcpu *vcpu, bool may_sleep)
{
	const struct svm_vmcb *vmcb = to_svm(vcpu)->vmcb;
	u32 access = 0;

	if (vmcb->exit_info1 & SVM_NPF_WRITE)
		access |= HV_ACCESS_WRITE;
	if (vmcb->exit_info1 & SVM_NPF_FETCH)
		access |= HV_ACCESS_FETCH;
	if (vmcb->exit_info1 & SVM_NPF_FINAL)
		access |= HV_ACCESS_FINAL;
	return hv_exit_fault(vcpu, vmcb->exit_info2, access, may_sleep);
}

static int svm_exit_ioio(struct hv_vcpu *vcpu, bool may_sleep)
{
	const struct svm_vmcb *vmcb = to_svm(vcpu)->vmcb;
	u32 info = vmcb->exit_info1;
	unsigned int size = (info & SVM_IOIO_SIZE_MASK) >> SVM_IOIO_SIZE_SHIFT;

	vcpu->stats.io_exits++;
	if (info & SVM_IOIO_STRING)
		return hv_emulate(vcpu, may_sleep);
	return hv_exit_pio(vcpu, info & SVM_IOIO_IN, info >> SVM_IOIO_PORT_SHIFT, size,
			   vmcb->exit_info2, may_sleep);
}

static int svm_exit_msr(struct hv_vcpu *vcpu, bool may_sleep)
{
	return to_svm(vcpu)->vmcb->exit_info1 & 1 ? hv_exit_wrmsr(vcpu, may_sleep) :
						    hv_exit_rdmsr(vcpu, may_sleep);
}

static int svm_exit_shutdown(struct hv_vcpu *vcpu, bool may_sleep)
{
	/* The VMCB is undefined after a shutdown (APM2 15.14.3): begin a new life. */
	hv_vcpu_reset(vcpu, true);
	vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return HV_NEXT_USER;
}

static int svm_exit_invalid(struct hv_vcpu *vcpu, bool may_sleep)
{
	const struct svm_vmcb *vmcb = to_svm(vcpu)->vmcb;

	pr_info_ratelimited("vCPU %u: VMRUN refused: cr0 %llx cr3 %llx cr4 %llx efer %llx rflags %llx rip %llx cs %x/%x\n",
			    vcpu->id, vmcb->cr0, vmcb->cr3, vmcb->cr4, vmcb->efer, vmcb->rflags,
			    vmcb->rip, vmcb->cs.selector, vmcb->cs.attrib);
	vcpu->run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	vcpu->run->fail_entry.hardware_entry_failure_reason = vmcb->exit_code;
	vcpu->run->fail_entry.cpu = raw_smp_processor_id();
	/*
	 * A CPU leaves the VMCB alone when it refuses. QEMU's TCG stores the state it has by then,
	 * the host's: no part of that may reach user space.
	 */
	if (boot_cpu_has(X86_FEATURE_HYPERVISOR) &&
	    (vmcb->cr0 & (X86_CR0_NW | X86_CR0_CD)) != X86_CR0_NW)
		hv_vcpu_reset(vcpu, true);
	return HV_NEXT_USER;
}

/* The IRET that ends an NMI is about to execute. */
static int svm_exit_iret(struct hv_vcpu *vcpu, bool may_sleep)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	vcpu->stats.nmi_window_exits++;
	svm->nmi_iret = true;
	svm->nmi_iret_rip = vcpu->regs.rip;
	svm->vmcb->intercept1 &= ~SVM_I1_IRET;
	svm_dirty(svm->vmcb, SVM_CLEAN_INTERCEPTS);
	hv_request(vcpu, HV_REQ_EVENT);
	return HV_NEXT_RESUME;
}

static int svm_exit_cr4_write(struct hv_vcpu *vcpu, bool may_sleep)
{
	return hv_exit_mov_cr(vcpu, 4, may_sleep);
}

static int svm_exit_cr8_write(struct hv_vcpu *vcpu, bool may_sleep)
{
	struct svm_vmcb *vmcb = to_svm(vcpu)->vmcb;

	/* One exit per window: whoever still waits for CR8 to fall asks again. */
	vmcb->intercept_cr &= ~SVM_CR_WRITE(8);
	svm_dirty(vmcb, SVM_CLEAN_INTERCEPTS);
	return hv_exit_mov_cr(vcpu, 8, may_sleep);
}

static int svm_exit_dr(struct hv_vcpu *vcpu, bool may_sleep)
{
	struct svm_vmcb *vmcb = to_svm(vcpu)->vmcb;

	if (vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP)
		return hv_exit_mov_dr(vcpu, may_sleep);
	if (may_sleep)
		return HV_NEXT_RESUME;	/* not in the inner loop: the next round loads them */
	/* The guest uses its debug registers: give them to it until the inner loop ends. */
	vcpu->dr_wanted = true;
	hv_debug_enter(vcpu);
	vmcb->intercept_dr = 0;
	svm_dirty(vmcb, SVM_CLEAN_INTERCEPTS);
	return HV_NEXT_RESUME;
}

static int svm_exit_db(struct hv_vcpu *vcpu, bool may_sleep)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u64 dr6;

	vcpu->stats.exception_exits++;
	hv_regs_need(vcpu, HV_REGS_DR | HV_REGS_SEG);
	dr6 = svm->vmcb->dr6;
	if (svm->nmi_step) {
		svm->nmi_step = false;
		if (!svm->nmi_step_guest_tf)
			vcpu->regs.rflags &= ~X86_EFLAGS_TF;
		hv_request(vcpu, HV_REQ_EVENT);
		if (!svm->nmi_step_guest_tf && !(vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP) &&
		    !(dr6 & 0xf)) {
			svm->vmcb->dr6 &= ~BIT(14);
			vcpu->regs_valid &= ~HV_REGS_DR;
			svm_dirty(svm->vmcb, SVM_CLEAN_DR);
			return HV_NEXT_RESUME;
		}
	}
	if (vcpu->guest_debug & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP)) {
		/* The step was user space's: the guest's DR6 knows nothing of it. */
		vcpu->regs.dr6 &= ~HV_DR6_BS;
		hv_regs_dirty(vcpu, HV_REGS_DR);
		hv_debug_exit(vcpu, 1, dr6);
		return HV_NEXT_USER;
	}
	/* DR6 is already the guest's, in the VMCB. */
	hv_queue_exception(vcpu, 1);
	return HV_NEXT_RESUME;
}

static int svm_exit_bp(struct hv_vcpu *vcpu, bool may_sleep)
{
	vcpu->stats.exception_exits++;
	hv_debug_exit(vcpu, 3, 0);
	return HV_NEXT_USER;
}

static int svm_exit_undefined(struct hv_vcpu *vcpu, bool may_sleep)
{
	if (!may_sleep)
		vcpu->stats.exception_exits++;
	return hv_exit_undefined(vcpu, 0xd9, may_sleep);	/* VMMCALL */
}

static int svm_exit_ac(struct hv_vcpu *vcpu, bool may_sleep)
{
	vcpu->stats.exception_exits++;
	hv_queue_exception_error(vcpu, 17, 0);
	return HV_NEXT_RESUME;
}

static int svm_exit_mc(struct hv_vcpu *vcpu, bool may_sleep)
{
	/* The host's handler ran when GIF came back; the guest sees nothing of it. */
	vcpu->stats.exception_exits++;
	return HV_NEXT_RESUME;
}

static int svm_exit_rdpmc(struct hv_vcpu *vcpu, bool may_sleep)
{
	hv_queue_gp(vcpu);	/* no PMU in the guest's CPUID */
	return HV_NEXT_RESUME;
}

static svm_handler svm_handler_of(u64 code)
{
	switch (code) {
	case SVM_EXIT_CR_WRITE(4):		return svm_exit_cr4_write;
	case SVM_EXIT_CR_WRITE(8):		return svm_exit_cr8_write;
	case SVM_EXIT_DR_READ_0 ... SVM_EXIT_DR_WRITE_15:
						return svm_exit_dr;
	case SVM_EXIT_EXCEPTION(1):		return svm_exit_db;
	case SVM_EXIT_EXCEPTION(3):		return svm_exit_bp;
	case SVM_EXIT_EXCEPTION(6):		return svm_exit_undefined;
	case SVM_EXIT_EXCEPTION(17):		return svm_exit_ac;
	case SVM_EXIT_EXCEPTION(18):		return svm_exit_mc;
	case SVM_EXIT_NMI:
	case SVM_EXIT_SMI:
	case SVM_EXIT_INIT:
	case SVM_EXIT_PAUSE:			return svm_exit_nothing;
	case SVM_EXIT_VINTR:			return svm_exit_irq_window;
	case SVM_EXIT_RDPMC:			return svm_exit_rdpmc;
	case SVM_EXIT_IRET:			return svm_exit_iret;
	case SVM_EXIT_INVD:
	case SVM_EXIT_WBINVD:			return hv_exit_skip;
	case SVM_EXIT_SHUTDOWN:			return svm_exit_shutdown;
	case SVM_EXIT_MONITOR:
	case SVM_EXIT_MWAIT:			return hv_exit_mwait;
	case SVM_EXIT_XSETBV:			return hv_exit_xsetbv;
	case SVM_EXIT_VMRUN:
	case SVM_EXIT_VMLOAD:
	case SVM_EXIT_VMSAVE:
	case SVM_EXIT_STGI:
	case SVM_EXIT_CLGI:
	case SVM_EXIT_SKINIT:
	case SVM_EXIT_INVLPGA:
	case SVM_EXIT_RSM:
	case SVM_EXIT_RDTSCP:
	case SVM_EXIT_RDPRU:
	case SVM_EXIT_INVPCID:			return hv_exit_ud;
	case SVM_EXIT_INVALID:
	case (u32)SVM_EXIT_INVALID:		/* emulated CPUs store 32 bits of it */
						return svm_exit_invalid;
	default:				return NULL;
	}
}

/*
 * The event whose delivery the exit interrupted (APM2 15.7.2) goes back into the queue. A software
 * interrupt or exception is raised again by executing its instruction again.
 */
static void svm_requeue_event(struct hv_vcpu *vcpu)
{
	struct svm_vmcb *vmcb = to_svm(vcpu)->vmcb;
	struct hv_events *ev = &vcpu->events;
	u32 info = vmcb->exit_int_info;

	ev->exception.injected = false;
	ev->nmi_injected = false;
	ev->interrupt.injected = false;
	if (likely(!(info & SVM_EVT_VALID)))
		return;
	hv_request(vcpu, HV_REQ_EVENT);
	switch (info & SVM_EVT_TYPE_MASK) {
	case SVM_EVT_NMI:
		ev->nmi_injected = true;
		break;
	case SVM_EVT_EXCEPTION:
		if ((info & SVM_EVT_VECTOR_MASK) == 3 || (info & SVM_EVT_VECTOR_MASK) == 4)
			break;
		ev->exception.injected = true;
		ev->exception.vector = info & SVM_EVT_VECTOR_MASK;
		ev->exception.has_error = info & SVM_EVT_ERROR_VALID;
		ev->exception.error_code = vmcb->exit_int_error;
		break;
	case SVM_EVT_INTR:
		ev->interrupt.injected = true;
		ev->interrupt.soft = false;
		ev->interrupt.vector = info & SVM_EVT_VECTOR_MASK;
		break;
	case SVM_EVT_SOFT:
		break;
	}
}

int svm_handle_exit(struct hv_vcpu *vcpu, bool may_sleep)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	const struct svm_vmcb *vmcb = svm->vmcb;
	u64 code = vmcb->exit_code;
	svm_handler handler;

	if (!may_sleep) {
		/* First call for this exit (a second one may follow where sleeping is allowed). */
		struct hv_events *ev = &vcpu->events;

		trace_hv_exit(vcpu->id, vcpu->regs.rip, code, vmcb->exit_info1, vmcb->exit_info2);
		if (unlikely((vmcb->exit_int_info & SVM_EVT_VALID) || ev->exception.injected ||
			     ev->nmi_injected || ev->interrupt.injected))
			svm_requeue_event(vcpu);
		if (unlikely(svm->nmi_iret) && vcpu->regs.rip != svm->nmi_iret_rip) {
			svm->nmi_iret = false;
			svm->nmi_masked = false;
			hv_request(vcpu, HV_REQ_EVENT);
		}
	}

	switch (code) {
	case SVM_EXIT_INTR:	vcpu->stats.irq_exits++; return HV_NEXT_RESUME;
	case SVM_EXIT_MSR:	return svm_exit_msr(vcpu, may_sleep);
	case SVM_EXIT_IOIO:	return svm_exit_ioio(vcpu, may_sleep);
	case SVM_EXIT_NPF:	return svm_exit_npf(vcpu, may_sleep);
	case SVM_EXIT_HLT:	return hv_exit_hlt(vcpu, may_sleep);
	case SVM_EXIT_CPUID:	return hv_exit_cpuid(vcpu, may_sleep);
	case SVM_EXIT_VMMCALL:	return hv_exit_hypercall(vcpu, may_sleep);
	}
	vcpu->stats.other_exits++;
	handler = svm_handler_of(code);
	if (handler)
		return handler(vcpu, may_sleep);
	pr_info_ratelimited("vCPU %u: unexpected SVM exit %#llx (%#llx, %#llx)\n", vcpu->id, code,
			    vmcb->exit_info1, vmcb->exit_info2);
	return hv_internal_error(vcpu, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON, 1, &code);
}
