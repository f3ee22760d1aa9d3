// SPDX-License-Identifier: GPL-2.0-only
/* Entering the guest: the host state that entries clobber, and one entry. */
#include <linux/mm.h>
#include <asm/cpufeature.h>
#include <asm/desc.h>
#include <asm/fsgsbase.h>
#include <asm/mmu_context.h>	/* load_gs_index(), wherever it is declared */
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/perf_event.h>
#include <asm/processor.h>
#include <asm/segment.h>
#include <asm/special_insns.h>
#include <asm/debugreg.h>

#include "../compat/machine_check.h"
#include "../irq/irq.h"
#include "../mmu/mmu.h"
#include "../x86/x86.h"
#include "mitigate.h"
#include "vmx.h"

/* ---- the inner loop's host state ------------------------------------------------------------ */

static void vmx_selectors_save(struct vmx_host *h)
{
	savesegment(ds, h->ds);
	savesegment(es, h->es);
	savesegment(fs, h->fs);
	savesegment(gs, h->gs);
	asm("sldt %0" : "=m"(h->ldt));
}

/* Only 32-bit processes, and those with an LDT, have any but null selectors. */
static void vmx_selectors_load(const struct vmx_host *h)
{
	if (unlikely(h->ldt))
		asm volatile("lldt %0" : : "m"(h->ldt));
	if (unlikely(h->ds))
		loadsegment(ds, h->ds);
	if (unlikely(h->es))
		loadsegment(es, h->es);
	/* These two change the base as well. */
	if (unlikely(h->fs)) {
		loadsegment(fs, h->fs);
		wrmsrl(MSR_FS_BASE, h->fs_base);
	}
	if (unlikely(h->gs)) {
		load_gs_index(h->gs);
		wrmsrl(MSR_KERNEL_GS_BASE, h->kernel_gs_base);
	}
}

static u64 vmx_fs_base(void)
{
	u64 base;

	if (boot_cpu_has(X86_FEATURE_FSGSBASE))
		return rdfsbase();
	rdmsrl(MSR_FS_BASE, base);
	return base;
}

/* What an exit loads, where it is not what the VMCS has from last time. */
static void vmx_host_refresh(struct vmx_host *h)
{
	u64 value = __read_cr3();

	if (unlikely(h->cr3 != value)) {
		h->cr3 = value;
		vmx_write(VMX_HOST_CR3, value);
	}
	value = vmx_fs_base();
	if (unlikely(h->fs_base != value)) {
		h->fs_base = value;
		vmx_write(VMX_HOST_FS_BASE, value);
	}
}

void vmx_inner_enter(struct hv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct vmx_host *h = &vmx->host;

	vmx_host_refresh(h);
	vmx_selectors_save(h);
	rdmsrl(MSR_KERNEL_GS_BASE, h->kernel_gs_base);
	if (h->kernel_gs_base != vmx->kernel_gs_base)
		wrmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	vmx->msrs_loaded = true;
	/* A guest that has not enabled SYSCALL cannot see its registers. */
	if (vmx->efer & EFER_SCE)
		vmx_syscall_load(vmx);
	vmx->world.host_spec_ctrl = this_cpu_read(x86_spec_ctrl_current);
	if (!hv_caps.spec_ctrl)
		vmx->world.guest_spec_ctrl = vmx->world.host_spec_ctrl;
	vmx_mitigate_inner();
}

static void vmx_syscall_unload(struct vmx_vcpu *vmx)
{
	static const u32 msrs[] = { MSR_STAR, MSR_LSTAR, MSR_SYSCALL_MASK };
	unsigned int i;

	for (i = 0; i < VMX_NR_SYSCALL; i++)
		if (vmx->syscall[i] != vmx_caps.syscall[i])
			wrmsrl(msrs[i], vmx_caps.syscall[i]);
	vmx->syscall_loaded = false;
}

void vmx_inner_leave(struct hv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct vmx_host *h = &vmx->host;

	rdmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	if (h->kernel_gs_base != vmx->kernel_gs_base)
		wrmsrl(MSR_KERNEL_GS_BASE, h->kernel_gs_base);
	vmx->msrs_loaded = false;
	if (vmx->syscall_loaded)
		vmx_syscall_unload(vmx);
	vmx_selectors_load(h);
	/* An exit leaves the limits of the GDT and the TSS at their defaults (27.5.2). */
	load_fixmap_gdt(raw_smp_processor_id());
	invalidate_tss_limit();
}

/* ---- before an entry ------------------------------------------------------------------------ */

/* Host or guest values of an MSR that the CPU switches by its lists. */
static void vmx_msr_switch_add(struct vmx_vcpu *vmx, u32 n, const struct perf_guest_switch_msr *m)
{
	vmx->host_list[n] = (struct vmx_msr_entry) { .index = m->msr, .value = m->host };
	vmx->guest_list[n] = (struct vmx_msr_entry) { .index = m->msr, .value = m->guest };
}

/* The host's performance counters that do not count guests, PEBS above all, stop meanwhile. */
static void vmx_perf_switch(struct vmx_vcpu *vmx)
{
	struct perf_guest_switch_msr *msrs;
	bool global = false;
	u32 used = 0;
	int i, nr = 0;

	msrs = perf_guest_get_msrs(&nr, NULL);
	for (i = 0; msrs && i < nr; i++) {
		if (msrs[i].host == msrs[i].guest)
			continue;
		if (msrs[i].msr == MSR_CORE_PERF_GLOBAL_CTRL &&
		    (vmx_caps.entry & VMX_ENTRY_CTL_PERF_GLOBAL)) {
			vmx_write(VMX_GUEST_PERF_GLOBAL_CTRL, msrs[i].guest);
			vmx_write(VMX_HOST_PERF_GLOBAL_CTRL, msrs[i].host);
			global = true;
		} else if (used < VMX_MSR_LIST_MAX) {
			vmx_msr_switch_add(vmx, used++, &msrs[i]);
		}
	}
	if (vmx->exit_msrs != used) {
		vmx->exit_msrs = used;
		vmx_write(VMX_EXIT_MSR_LOAD_COUNT, used);
		vmx_write(VMX_ENTRY_MSR_LOAD_COUNT, used);
	}
	if (global == vmx->perf_global)
		return;
	vmx->perf_global = global;
	if (global)
		vmx->entry_ctls |= VMX_ENTRY_CTL_PERF_GLOBAL;
	else
		vmx->entry_ctls &= ~VMX_ENTRY_CTL_PERF_GLOBAL;
	vmx_write(VMX_ENTRY_CONTROLS, vmx->entry_ctls);
	vmx_write(VMX_EXIT_CONTROLS, global ? vmx_caps.exit :
					      vmx_caps.exit & ~VMX_EXIT_CTL_PERF_GLOBAL);
}

/* The TPR threshold must not be above the TPR (26.2.1.1), which software may have lowered. */
static void vmx_threshold_fix(struct vmx_vcpu *vmx)
{
	int threshold = hv_lapic_tpr_threshold(&vmx->vcpu);

	if (threshold < 0)
		threshold = 0;
	if (vmx->tpr_threshold == threshold)
		return;
	vmx->tpr_threshold = threshold;
	vmx_write(VMX_TPR_THRESHOLD, threshold);
}

/* Leave the guest in time for vcpu->exit_tsc. */
static void vmx_timer_enter(struct vmx_vcpu *vmx)
{
	u64 at = vmx->vcpu.exit_tsc, now, ticks = 0;
	u32 pin = vmx->pin & ~VMX_PIN_PREEMPTION_TIMER;

	if (at)
		pin |= VMX_PIN_PREEMPTION_TIMER;
	if (vmx->pin != pin) {
		vmx->pin = pin;
		vmx_write(VMX_PIN_CONTROLS, pin);
	}
	if (!at)
		return;
	now = rdtsc();
	if (at > now)
		ticks = ((at - now - 1) >> vmx_caps.exit_timer_shift) + 1;
	vmx_write(VMX_PREEMPTION_TIMER, min_t(u64, ticks, U32_MAX));
}

/* CR3 was set by other means than the guest's MOV: false if it cannot be entered now. */
static bool vmx_pdptes_fresh(struct vmx_vcpu *vmx)
{
	u64 pdpte[4];
	int r = vmx_pdptes_read(&vmx->vcpu, vmx->vcpu.regs.cr3, false, pdpte);

	/* Bad entries are the CPU's to refuse. */
	if (r < 0)
		return false;
	vmx_pdptes_write(pdpte);
	vmx->pdptes_stale = false;
	return true;
}

static void vmx_regs_put(struct vmx_vcpu *vmx)
{
	const struct hv_regs *r = &vmx->vcpu.regs;

	if (r->rip != vmx->hw_rip)
		vmx_write(VMX_GUEST_RIP, r->rip);
	if (r->gpr[HV_RSP] != vmx->hw_rsp)
		vmx_write(VMX_GUEST_RSP, r->gpr[HV_RSP]);
	if (unlikely(r->rflags != vmx->hw_rflags || (r->rflags & X86_EFLAGS_TF))) {
		vmx_write(VMX_GUEST_RFLAGS, r->rflags);
		vmx_flags_fix(vmx);
	}
}

static void vmx_prepare(struct vmx_vcpu *vmx)
{
	u64 cr4 = __read_cr4();

	vmx_regs_put(vmx);
	/* An interrupt may have changed it since the last entry (RDPMC for user space). */
	if (unlikely(vmx->host.cr4 != cr4)) {
		vmx->host.cr4 = cr4;
		vmx_write(VMX_HOST_CR4, cr4);
	}
	if (vmx->cr2 != read_cr2())
		write_cr2(vmx->cr2);
	if (unlikely(vmx->flush))
		vmx_flush(vmx);
	if (unlikely(vmx->tpr_threshold))
		vmx_threshold_fix(vmx);
	if (vmx->apicv)
		vmx_apic_enter(vmx);
	if (unlikely(vmx->cpu2_ctls & VMX_CPU2_PML))
		vmx_pml_enter(vmx);
	if (vmx->vcpu.exit_tsc || (vmx->pin & VMX_PIN_PREEMPTION_TIMER))
		vmx_timer_enter(vmx);
	if (vmx_caps.pmu)
		vmx_perf_switch(vmx);
	vmx_mitigate_enter();
}

/* ---- after an exit -------------------------------------------------------------------------- */

/* As if it had come from user space: the guest's process can be killed, the host goes on. */
static void vmx_machine_check(void)
{
	struct pt_regs regs = { .cs = 3, .flags = X86_EFLAGS_IF };

	hv_do_machine_check(&regs);
}

/*
 * What the CPU has taken and not delivered: an NMI (others are blocked until an IRET) and a machine
 * check. Interrupts are still pending, and taken when the run loop enables them.
 */
static void vmx_host_events(struct vmx_vcpu *vmx)
{
	u32 reason = vmx->exit_reason & VMX_EXIT_BASIC, info;

	if (unlikely(reason == VMX_EXIT_ENTRY_MC)) {
		vmx_machine_check();
		return;
	}
	if (likely(reason != VMX_EXIT_EXCEPTION_NMI))
		return;
	info = vmx_read(VMX_EXIT_INTR_INFO);
	if ((info & (VMX_INTR_TYPE | VMX_INTR_VALID)) == (VMX_INTR_NMI | VMX_INTR_VALID))
		asm volatile("int $2" : : : "memory");
	else if ((info & (VMX_INTR_TYPE | VMX_INTR_VECTOR)) == (VMX_INTR_EXCEPTION | 18))
		vmx_machine_check();
}

static void vmx_regs_get(struct vmx_vcpu *vmx)
{
	struct hv_regs *r = &vmx->vcpu.regs;

	vmx->hw_rip = r->rip = vmx_read(VMX_GUEST_RIP);
	vmx->hw_rsp = r->gpr[HV_RSP] = vmx_read(VMX_GUEST_RSP);
	vmx->hw_rflags = r->rflags = vmx_read(VMX_GUEST_RFLAGS);
	vmx->blocking_valid = false;
	vmx->vcpu.regs_valid = HV_REGS_GPR;
}

void vmx_run(struct hv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u64 rsp = vcpu->regs.gpr[HV_RSP];
	int r;

	if (unlikely(vmx->pdptes_stale) && !vmx_pdptes_fresh(vmx)) {
		vmx->exit_reason = VMX_EXIT_LOAD_PDPTES;
		return;
	}
	vmx_prepare(vmx);
	r = vmx_enter(vcpu->regs.gpr, &vmx->world);
	if (unlikely(r)) {
		vmx->exit_reason = r == VMX_FAILED ? VMX_EXIT_FAILED : VMX_EXIT_OFF;
		vmx->hw_rflags = 0;
		vmx->hw_rip = ~vcpu->regs.rip;
		vmx->hw_rsp = ~rsp;
		return;
	}
	vmx->world.launched = 1;
	vmx->cr2 = read_cr2();
	vmx->exit_reason = vmx_read(VMX_EXIT_REASON);
	vmx_host_events(vmx);
	if (unlikely(vmx->host.debugctl))
		update_debugctlmsr(vmx->host.debugctl);
	vmx_regs_get(vmx);
	/* The entry failed after all (26.8): the event is still ours. */
	if (unlikely(vmx->exit_reason & VMX_EXIT_FAILED_ENTRY)) {
		vmx->world.launched = 0;
		return;
	}
	if (unlikely(vmx->cpu2_ctls & VMX_CPU2_PML))
		vmx_pml_flush(vmx);
	vmx_requeue_event(vcpu);
}

u8 vmx_insn_len(struct hv_vcpu *vcpu)
{
	u64 len = vmx_read(VMX_EXIT_INSN_LEN);

	return len <= 15 ? len : 0;
}
