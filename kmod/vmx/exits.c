// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMX's VM exits: what the VMCS says happened, handed to the common handlers. An exit reason has
 * one handler; the few that dominate are tested first, the rest is a table.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/ratelimit.h>
#include <asm/cpu.h>
#include <asm/processor-flags.h>
#include <asm/debugreg.h>

#include "../irq/irq.h"
#include "../mmu/mmu.h"
#include "../x86/task_switch.h"
#include "../x86/x86.h"
#include "trace.h"
#include "vmx.h"

#define DR_GENERAL_DETECT BIT_ULL(13)	/* DR7.GD, 17.2.4 */

typedef int (*vmx_handler)(struct hv_vcpu *vcpu, bool may_sleep);

/* ---- memory and ports ------------------------------------------------------------------------ */

static int vmx_exit_ept(struct hv_vcpu *vcpu, bool may_sleep)
{
	u64 q = vmx_read(VMX_EXIT_QUALIFICATION);
	u32 access = 0;

	if (q & VMX_EPTV_WRITE)
		access |= HV_ACCESS_WRITE;
	if (q & VMX_EPTV_FETCH)
		access |= HV_ACCESS_FETCH;
	if ((q & VMX_EPTV_LINEAR) && (q & VMX_EPTV_FINAL))
		access |= HV_ACCESS_FINAL;
	return hv_exit_fault(vcpu, vmx_read(VMX_GUEST_PHYS_ADDR), access, may_sleep);
}

/* hv makes no such entries. */
static int vmx_exit_ept_misconfig(struct hv_vcpu *vcpu, bool may_sleep)
{
	u64 data[2] = { vmx_read(VMX_EXIT_REASON), vmx_read(VMX_GUEST_PHYS_ADDR) };

	pr_err_ratelimited("vCPU %u: bad EPT entry for guest-physical address %#llx\n", vcpu->id,
			   data[1]);
	return hv_internal_error(vcpu, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON, 2, data);
}

static int vmx_exit_io(struct hv_vcpu *vcpu, bool may_sleep)
{
	u64 q = vmx_read(VMX_EXIT_QUALIFICATION);
	u64 next;
	int r;

	vcpu->stats.io_exits++;
	if (q & VMX_IO_STRING)
		return hv_emulate(vcpu, may_sleep);
	r = hv_insn_end(vcpu, may_sleep, &next, NULL);
	if (r != HV_NEXT_NONE)
		return r;
	return hv_exit_pio(vcpu, q & VMX_IO_IN, VMX_IO_PORT(q), VMX_IO_SIZE(q), next, may_sleep);
}

/* ---- control and debug registers ------------------------------------------------------------- */

/*
 * The PDPTEs that CR0 or CR4 as about to be set would make the CPU load: HV_NEXT_NONE, with *load
 * saying whether there are any, or what the handler must return.
 */
static int vmx_cr_pdptes(struct hv_vcpu *vcpu, u64 cr0, u64 cr4, bool may_sleep, u64 pdpte[4],
			 bool *load)
{
	const struct hv_regs *regs = &vcpu->regs;
	int r;

	/* Long mode has none, also when this very write of PG enters it. */
	*load = (cr0 & X86_CR0_PG) && (cr4 & X86_CR4_PAE) && !(regs->efer & EFER_LME);
	if (!*load)
		return HV_NEXT_NONE;
	r = vmx_pdptes_read(vcpu, regs->cr3, may_sleep, pdpte);
	if (r == -EAGAIN)
		return HV_NEXT_SLEEP;
	if (r) {
		hv_queue_gp(vcpu);
		return HV_NEXT_RESUME;
	}
	return HV_NEXT_NONE;
}

static int vmx_write_cr(struct hv_vcpu *vcpu, unsigned int cr, u64 value, bool may_sleep)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	bool load = false;
	u64 next, pdpte[4];
	int r = hv_insn_end(vcpu, may_sleep, &next, NULL);

	if (r != HV_NEXT_NONE)
		return r;
	hv_regs_need(vcpu, HV_REGS_CR);
	if (cr == 0)
		r = vmx_cr_pdptes(vcpu, value, vcpu->regs.cr4, may_sleep, pdpte, &load);
	else if (cr == 4)
		r = vmx_cr_pdptes(vcpu, vcpu->regs.cr0, value, may_sleep, pdpte, &load);
	if (r != HV_NEXT_NONE)
		return r;
	if (hv_write_cr(vcpu, cr, value)) {
		hv_queue_gp(vcpu);
		return HV_NEXT_RESUME;
	}
	if (load) {
		/* Into the VMCS now, so that the store of CR0, CR3, CR4 need not look again. */
		hv_call(regs_store)(vcpu, HV_REGS_CR);
		vcpu->regs_dirty &= ~HV_REGS_CR;
		vmx_pdptes_write(pdpte);
		vmx->pdptes_stale = false;
	}
	hv_retire(vcpu, next);
	return HV_NEXT_RESUME;
}

/* Without a LAPIC in the kernel, CR8 is user space's. */
static int vmx_read_cr8(struct hv_vcpu *vcpu, unsigned int gpr, bool may_sleep)
{
	u64 next;
	int r = hv_insn_end(vcpu, may_sleep, &next, NULL);

	if (r != HV_NEXT_NONE)
		return r;
	vcpu->regs.gpr[gpr] = vcpu->lapic ? hv_lapic_get_cr8(vcpu) : vcpu->user_cr8;
	hv_retire(vcpu, next);
	return HV_NEXT_RESUME;
}

static int vmx_exit_cr(struct hv_vcpu *vcpu, bool may_sleep)
{
	u64 q = vmx_read(VMX_EXIT_QUALIFICATION), value;
	unsigned int cr = VMX_CR_NUMBER(q);

	switch (VMX_CR_TYPE(q)) {
	case VMX_CR_MOV_TO:
		value = vcpu->regs.gpr[VMX_CR_GPR(q)];
		if (!hv_64bit_mode(vcpu))
			value = (u32)value;
		if (cr == 0 || cr == 4 || cr == 8)
			return vmx_write_cr(vcpu, cr, value, may_sleep);
		break;
	case VMX_CR_MOV_FROM:
		if (cr == 8)
			return vmx_read_cr8(vcpu, VMX_CR_GPR(q), may_sleep);
		break;
	case VMX_CR_CLTS:
		hv_regs_need(vcpu, HV_REGS_CR);
		return vmx_write_cr(vcpu, 0, vcpu->regs.cr0 & ~(u64)X86_CR0_TS, may_sleep);
	case VMX_CR_TYPE_LMSW:
		/* PE, MP, EM and TS; PE can be set only. */
		hv_regs_need(vcpu, HV_REGS_CR);
		value = (vcpu->regs.cr0 & ~0xeULL) | (VMX_CR_LMSW(q) & 0xf);
		return vmx_write_cr(vcpu, 0, value, may_sleep);
	}
	return hv_internal_error(vcpu, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON, 1, &q);
}

static int vmx_exit_dr(struct hv_vcpu *vcpu, bool may_sleep)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	hv_regs_need(vcpu, HV_REGS_DR);
	/* The exit comes before the CPU's look at DR7.GD. */
	if ((vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP) || (vcpu->regs.dr7 & DR_GENERAL_DETECT))
		return hv_exit_mov_dr(vcpu, may_sleep);
	if (may_sleep)
		return HV_NEXT_RESUME;	/* not in the inner loop: the next round loads them */
	/* The guest uses its debug registers: give them to it until the inner loop ends. */
	vcpu->dr_wanted = true;
	hv_debug_enter(vcpu);
	set_debugreg(vcpu->regs.dr6, 6);
	vmx->dr_direct = true;
	vmx_cpu_ctls_set(vmx, vmx->cpu_ctls & ~VMX_CPU_MOV_DR);
	return HV_NEXT_RESUME;
}

/* ---- exceptions ------------------------------------------------------------------------------ */

static int vmx_exit_db(struct hv_vcpu *vcpu, u32 info)
{
	u64 dr6 = vmx_read(VMX_EXIT_QUALIFICATION);

	if (vcpu->guest_debug & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP)) {
		hv_debug_exit(vcpu, 1, dr6);
		return HV_NEXT_USER;
	}
	/* INT1 is a trap: its #DB comes after it. */
	if ((info & VMX_INTR_TYPE) == VMX_INTR_ICEBP)
		vcpu->regs.rip += vmx_insn_len(vcpu);
	hv_queue_exception_payload(vcpu, 1, dr6);
	return HV_NEXT_RESUME;
}

static bool vmx_guest_wants_ac(struct hv_vcpu *vcpu)
{
	hv_regs_need(vcpu, HV_REGS_CR | HV_REGS_CODE);
	return vcpu->regs.seg[HV_SS].dpl == 3 && (vcpu->regs.cr0 & X86_CR0_AM) &&
	       (vcpu->regs.rflags & X86_EFLAGS_AC);
}

static int vmx_exit_ac(struct hv_vcpu *vcpu)
{
	/* A split lock, which the host watches for, and not the guest's alignment check? */
	if (boot_cpu_has(X86_FEATURE_SPLIT_LOCK_DETECT) && !vmx_guest_wants_ac(vcpu)) {
		if (handle_guest_split_lock(vcpu->regs.rip))
			return HV_NEXT_RESUME;
		vcpu->run->exit_reason = KVM_EXIT_EXCEPTION;
		vcpu->run->ex.exception = 17;
		vcpu->run->ex.error_code = 0;
		return HV_NEXT_USER;
	}
	hv_queue_exception_error(vcpu, 17, vmx_read(VMX_EXIT_INTR_ERROR));
	return HV_NEXT_RESUME;
}

/* The hypercall instruction of AMD, or in SMM: RSM, which the CPU has only for itself. */
static int vmx_exit_ud(struct hv_vcpu *vcpu, bool may_sleep)
{
	struct hv_insn insn;
	u64 next;
	int r;

	if (likely(!vcpu->smm.active))
		return hv_exit_undefined(vcpu, 0xc1, may_sleep);	/* VMCALL */
	r = hv_insn_end(vcpu, may_sleep, &next, &insn);
	if (r != HV_NEXT_NONE)
		return r;
	return insn.map == HV_MAP_0F && insn.opcode == 0xaa ? hv_exit_rsm(vcpu, may_sleep) :
							      hv_exit_ud(vcpu, may_sleep);
}

static int vmx_exit_exception(struct hv_vcpu *vcpu, bool may_sleep)
{
	u32 info = vmx_read(VMX_EXIT_INTR_INFO);
	u64 data[2] = { VMX_EXIT_EXCEPTION_NMI, info };

	if ((info & VMX_INTR_TYPE) == VMX_INTR_NMI) {
		vcpu->stats.irq_exits++;	/* taken in vmx_host_events() */
		return HV_NEXT_RESUME;
	}
	vcpu->stats.exception_exits++;
	switch (info & VMX_INTR_VECTOR) {
	case 1:
		return vmx_exit_db(vcpu, info);
	case 3:
		hv_debug_exit(vcpu, 3, 0);
		return HV_NEXT_USER;
	case 6:
		return vmx_exit_ud(vcpu, may_sleep);
	case 17:
		return vmx_exit_ac(vcpu);
	case 18:
		return HV_NEXT_RESUME;		/* likewise; the guest sees nothing of it */
	}
	return hv_internal_error(vcpu, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON, 2, data);
}

static int vmx_exit_triple_fault(struct hv_vcpu *vcpu, bool may_sleep)
{
	vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return HV_NEXT_USER;
}

/* ---- windows --------------------------------------------------------------------------------- */

static int vmx_exit_intr_window(struct hv_vcpu *vcpu, bool may_sleep)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_cpu_ctls_set(vmx, vmx->cpu_ctls & ~VMX_CPU_INTR_WINDOW);
	return hv_exit_irq_window(vcpu);
}

static int vmx_exit_nmi_window(struct hv_vcpu *vcpu, bool may_sleep)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vcpu->stats.nmi_window_exits++;
	vmx_cpu_ctls_set(vmx, vmx->cpu_ctls & ~VMX_CPU_NMI_WINDOW);
	hv_request(vcpu, HV_REQ_EVENT);
	return HV_NEXT_RESUME;
}

static int vmx_exit_tpr(struct hv_vcpu *vcpu, bool may_sleep)
{
	hv_request(vcpu, HV_REQ_EVENT);
	return HV_NEXT_RESUME;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static int vmx_exit_timer(struct hv_vcpu *vcpu, bool may_sleep)
{
	hv_lapic_timer_due(vcpu);
	return HV_NEXT_RESUME;
}

static int vmx_exit_nothing(struct hv_vcpu *vcpu, bool may_sleep)
{
	return HV_NEXT_RESUME;
}

static int vmx_exit_gp(struct hv_vcpu *vcpu, bool may_sleep)
{
	hv_queue_gp(vcpu);	/* RDPMC: no PMU in the guest's CPUID */
	return HV_NEXT_RESUME;
}

/* The event that came through a task gate is delivered by the switch itself. */
static void vmx_task_event(struct hv_vcpu *vcpu, u32 info, struct hv_task_switch *ts)
{
	struct hv_events *ev = &vcpu->events;

	switch (info & VMX_INTR_TYPE) {
	case VMX_INTR_NMI:
		ev->nmi_injected = false;
		vmx_blocking_set(vcpu, HV_BLOCK_NMI, HV_BLOCK_NMI);
		break;
	case VMX_INTR_EXCEPTION:
		ts->has_error = ev->exception.has_error;
		ts->error = ev->exception.error_code;
		ev->exception.injected = false;
		break;
	case VMX_INTR_EXTINT:
		ev->interrupt.injected = false;
		break;
	default:
		/* INT n, INT3, INTO, INT1: the task goes on after it. */
		ev->interrupt.injected = false;
		ts->next_rip += vmx_insn_len(vcpu);
	}
}

static int vmx_exit_task_switch(struct hv_vcpu *vcpu, bool may_sleep)
{
	u64 q = vmx_read(VMX_EXIT_QUALIFICATION);
	u32 info = vmx_read(VMX_IDT_VECTORING_INFO);
	struct hv_task_switch ts = {
		.source = VMX_TASK_SOURCE(q), .selector = q, .next_rip = vcpu->regs.rip,
	};

	static_assert(HV_TASK_CALL == 0 && HV_TASK_IRET == 1 && HV_TASK_JMP == 2 &&
		      HV_TASK_GATE == 3);
	if (!may_sleep)
		return HV_NEXT_SLEEP;
	if (ts.source == HV_TASK_GATE && (info & VMX_INTR_VALID))
		vmx_task_event(vcpu, info, &ts);
	else
		ts.next_rip += vmx_insn_len(vcpu);
	if (ts.source == HV_TASK_IRET)
		vmx_blocking_set(vcpu, HV_BLOCK_NMI, 0);
	return hv_task_switch(vcpu, &ts);
}

static int vmx_fail_entry(struct hv_vcpu *vcpu, u64 reason)
{
	static DEFINE_RATELIMIT_STATE(limit, 10 * HZ, 2);

	if (__ratelimit(&limit))
		vmx_dump(to_vmx(vcpu));
	vcpu->run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	vcpu->run->fail_entry.hardware_entry_failure_reason = reason;
	vcpu->run->fail_entry.cpu = raw_smp_processor_id();
	return HV_NEXT_USER;
}

/* The entry could not be made for want of PDPTEs that are not in memory right now. */
static int vmx_exit_load_pdptes(struct hv_vcpu *vcpu, bool may_sleep)
{
	u64 pdpte[4];

	if (!may_sleep)
		return HV_NEXT_SLEEP;
	/* Only to have them brought in; if there is no memory, the entry is refused. */
	if (vmx_pdptes_read(vcpu, vcpu->regs.cr3, true, pdpte) < 0) {
		memset(pdpte, 0, sizeof(pdpte));
		vmx_pdptes_write(pdpte);
		to_vmx(vcpu)->pdptes_stale = false;
	}
	return HV_NEXT_RESUME;
}

/* The instruction with the lock has been executed. */
static int vmx_exit_bus_lock(struct hv_vcpu *vcpu, bool may_sleep)
{
	vcpu->bus_locked = true;
	hv_request(vcpu, HV_REQ_BUS_LOCK);
	return HV_NEXT_RESUME;
}

/* The guest has kept the CPU from noticing interrupts for as long as user space allows. */
static int vmx_exit_notify(struct hv_vcpu *vcpu, bool may_sleep)
{
	bool invalid = vmx_read(VMX_EXIT_QUALIFICATION) & VMX_NOTIFY_INVALID;

	if (!invalid && !(vcpu->vm->notify_flags & KVM_X86_NOTIFY_VMEXIT_USER))
		return HV_NEXT_RESUME;
	vcpu->run->exit_reason = KVM_EXIT_NOTIFY;
	vcpu->run->notify.flags = invalid ? KVM_NOTIFY_CONTEXT_INVALID : 0;
	return HV_NEXT_USER;
}

static const vmx_handler vmx_handlers[VMX_NR_EXITS] = {
	[VMX_EXIT_EXCEPTION_NMI]	= vmx_exit_exception,
	[VMX_EXIT_TRIPLE_FAULT]		= vmx_exit_triple_fault,
	[VMX_EXIT_INIT]			= vmx_exit_nothing,
	[VMX_EXIT_INTR_WINDOW]		= vmx_exit_intr_window,
	[VMX_EXIT_NMI_WINDOW]		= vmx_exit_nmi_window,
	[VMX_EXIT_TASK_SWITCH]		= vmx_exit_task_switch,
	[VMX_EXIT_GETSEC]		= hv_exit_ud,
	[VMX_EXIT_INVD]			= hv_exit_skip,
	[VMX_EXIT_RDPMC]		= vmx_exit_gp,
	[VMX_EXIT_RSM]			= hv_exit_ud,
	[VMX_EXIT_VMCLEAR ... VMX_EXIT_VMXON] = hv_exit_ud,
	[VMX_EXIT_CR]			= vmx_exit_cr,
	[VMX_EXIT_DR]			= vmx_exit_dr,
	[VMX_EXIT_MWAIT]		= hv_exit_mwait,
	[VMX_EXIT_MONITOR_TRAP]		= vmx_exit_monitor_trap,
	[VMX_EXIT_MONITOR]		= hv_exit_mwait,
	[VMX_EXIT_PAUSE]		= hv_exit_pause,
	[VMX_EXIT_ENTRY_MC]		= vmx_exit_nothing,
	[VMX_EXIT_TPR_THRESHOLD]	= vmx_exit_tpr,
	[VMX_EXIT_APIC_ACCESS]		= vmx_exit_apic_access,
	[VMX_EXIT_EOI]			= vmx_exit_eoi,
	[VMX_EXIT_GDTR_IDTR]		= vmx_exit_desc_table,
	[VMX_EXIT_LDTR_TR]		= vmx_exit_desc_table,
	[VMX_EXIT_EPT_MISCONFIG]	= vmx_exit_ept_misconfig,
	[VMX_EXIT_INVEPT]		= hv_exit_ud,
	[VMX_EXIT_INVVPID]		= hv_exit_ud,
	[VMX_EXIT_PREEMPTION_TIMER]	= vmx_exit_timer,
	[VMX_EXIT_WBINVD]		= hv_exit_skip,
	[VMX_EXIT_XSETBV]		= hv_exit_xsetbv,
	[VMX_EXIT_APIC_WRITE]		= vmx_exit_apic_write,
	[VMX_EXIT_VMFUNC]		= hv_exit_ud,
	[VMX_EXIT_PML_FULL]		= vmx_exit_nothing,
	[VMX_EXIT_ENCLS]		= hv_exit_ud,
	[VMX_EXIT_PCONFIG]		= hv_exit_ud,
	[VMX_EXIT_ENCLV]		= hv_exit_ud,
	[VMX_EXIT_BUS_LOCK]		= vmx_exit_bus_lock,
	[VMX_EXIT_NOTIFY]		= vmx_exit_notify,
};

static int vmx_exit_other(struct hv_vcpu *vcpu, u32 reason, bool may_sleep)
{
	u64 data[2] = { reason, vmx_read(VMX_EXIT_QUALIFICATION) };

	vcpu->stats.other_exits++;
	switch (reason) {
	case VMX_EXIT_OFF:
		return -EIO;
	case VMX_EXIT_LOAD_PDPTES:
		return vmx_exit_load_pdptes(vcpu, may_sleep);
	case VMX_EXIT_FAILED:
		return vmx_fail_entry(vcpu, vmx_read(VMX_INSN_ERROR));
	}
	if (reason & VMX_EXIT_FAILED_ENTRY)
		return vmx_fail_entry(vcpu, reason);
	if (reason & VMX_EXIT_BUS_LOCKED) {
		/* Another exit came with it: user space hears of the lock after that. */
		to_vmx(vcpu)->exit_reason &= ~VMX_EXIT_BUS_LOCKED;
		vmx_exit_bus_lock(vcpu, may_sleep);
		return vmx_handle_exit(vcpu, may_sleep);
	}
	reason &= VMX_EXIT_BASIC;
	if (reason < VMX_NR_EXITS && vmx_handlers[reason])
		return vmx_handlers[reason](vcpu, may_sleep);
	pr_info_ratelimited("vCPU %u: unexpected VMX exit %u (%#llx)\n", vcpu->id, reason, data[1]);
	return hv_internal_error(vcpu, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON, 2, data);
}

int vmx_handle_exit(struct hv_vcpu *vcpu, bool may_sleep)
{
	u32 reason = to_vmx(vcpu)->exit_reason;

	if (!may_sleep && trace_hv_exit_enabled())
		trace_hv_exit(vcpu->id, vcpu->regs.rip, reason, vmx_read(VMX_EXIT_QUALIFICATION),
			      vmx_read(VMX_EXIT_INTR_INFO));
	switch (reason) {
	case VMX_EXIT_EXTINT:		vcpu->stats.irq_exits++; return HV_NEXT_RESUME;
	case VMX_EXIT_WRMSR:		return hv_exit_wrmsr(vcpu, may_sleep);
	case VMX_EXIT_RDMSR:		return hv_exit_rdmsr(vcpu, may_sleep);
	case VMX_EXIT_IO:		return vmx_exit_io(vcpu, may_sleep);
	case VMX_EXIT_EPT_VIOLATION:	return vmx_exit_ept(vcpu, may_sleep);
	case VMX_EXIT_HLT:		return hv_exit_hlt(vcpu, may_sleep);
	case VMX_EXIT_CPUID:		return hv_exit_cpuid(vcpu, may_sleep);
	case VMX_EXIT_VMCALL:		return hv_exit_hypercall(vcpu, may_sleep);
	}
	return vmx_exit_other(vcpu, reason, may_sleep);
}
