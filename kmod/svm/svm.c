// SPDX-License-Identifier: GPL-2.0-only
/*
 * AMD SVM: taking the hardware, one VMCB per vCPU, entering the guest, putting events into it.
 * References are to the AMD64 APM volume 2, chapter 15.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpu.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/asm.h>
#include <asm/debugreg.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/processor.h>

#include "../irq/irq.h"
#include "../mmu/mmu.h"
#include "../x86/x86.h"
#include "svm.h"

#define SVM_IOPM_SIZE	(3 * PAGE_SIZE)		/* APM2 15.10.1 */
#define SVM_MSRPM_SIZE	(2 * PAGE_SIZE)		/* APM2 15.11 */

/* Per host CPU: the areas the hardware wants and the allocation of ASIDs. */
struct svm_cpu {
	struct page *hsave;		/* VM_HSAVE_PA */
	struct page *host_vmcb;		/* host state for VMSAVE/VMLOAD */
	u64 asid_generation;
	u32 next_asid;
	struct hv_vcpu *last;		/* whose branch predictions are in this CPU */
	bool enabled;
};

static DEFINE_PER_CPU(struct svm_cpu, svm_cpus);
static u32 svm_nr_asids;
static struct page *svm_iopm;
u32 svm_features;

/* MSRs the guest may use without an exit: VMLOAD/VMSAVE or the VMCB switch them. */
static const u32 svm_direct_msrs[] = {
	MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SYSCALL_MASK, MSR_KERNEL_GS_BASE, MSR_FS_BASE,
	MSR_GS_BASE, MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
};

/*
 * A restart turns SVM off under running vCPUs (hv_reboot, the emergency callback). From then on
 * its instructions fault; they are skipped, and the entry reports a failure.
 */
static __always_inline void svm_clgi(void)
{
	asm volatile("1: clgi\n2:" _ASM_EXTABLE(1b, 2b) : : : "memory");
}

static __always_inline void svm_stgi(void)
{
	asm volatile("1: stgi\n2:" _ASM_EXTABLE(1b, 2b) : : : "memory");
}

/* ---- the hardware -------------------------------------------------------------------------- */

static int svm_hw_setup(void)
{
	u32 eax, ebx, ecx, edx;
	u64 vm_cr;
	int cpu;

	if (!boot_cpu_has(X86_FEATURE_SVM))
		return -ENODEV;
	rdmsrl(SVM_MSR_VM_CR, vm_cr);
	if (vm_cr & SVM_VM_CR_SVMDIS) {
		pr_err("SVM is disabled by the firmware; turn it on in its set-up\n");
		return -EOPNOTSUPP;
	}
	cpuid(SVM_CPUID_LEAF, &eax, &ebx, &ecx, &edx);
	svm_features = edx;
	svm_nr_asids = ebx;
	if (!(svm_features & SVM_FEAT_NPT)) {
		pr_err("this CPU has SVM without nested paging, which hv needs\n");
		return -EOPNOTSUPP;
	}
	if (svm_nr_asids < 2) {
		pr_err("this CPU has SVM without address space identifiers, which hv needs\n");
		return -EOPNOTSUPP;
	}

	hv_ops.tdp = (struct hv_tdp_format) {
		.present = SVM_NPT_PRESENT,
		.table = SVM_NPT_PRESENT | SVM_NPT_WRITE | SVM_NPT_USER | SVM_NPT_ACCESSED,
		.leaf = SVM_NPT_PRESENT | SVM_NPT_USER,
		.large = SVM_NPT_LARGE,
		.write = SVM_NPT_WRITE,
		.no_exec = SVM_NPT_NX,
		.accessed = SVM_NPT_ACCESSED,
		.dirty = SVM_NPT_DIRTY,
		.uncached = SVM_NPT_PRESENT | SVM_NPT_USER | SVM_NPT_PCD,
		/* The nested walk has as many levels as the host's own paging (APM2 15.25.3). */
		.levels = pgtable_l5_enabled() ? 5 : 4,
		.max_leaf_level = boot_cpu_has(X86_FEATURE_GBPAGES) ? 3 : 2,
	};

	svm_iopm = alloc_pages(GFP_KERNEL, get_order(SVM_IOPM_SIZE));
	if (!svm_iopm)
		return -ENOMEM;
	memset(page_address(svm_iopm), 0xff, SVM_IOPM_SIZE);

	for_each_possible_cpu(cpu) {
		struct svm_cpu *sc = per_cpu_ptr(&svm_cpus, cpu);

		sc->hsave = alloc_page(GFP_KERNEL | __GFP_ZERO);
		sc->host_vmcb = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!sc->hsave || !sc->host_vmcb) {
			hv_ops.hw_unsetup();
			return -ENOMEM;
		}
	}
	return 0;
}

static void svm_hw_unsetup(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct svm_cpu *sc = per_cpu_ptr(&svm_cpus, cpu);

		if (sc->hsave)
			__free_page(sc->hsave);
		if (sc->host_vmcb)
			__free_page(sc->host_vmcb);
		sc->hsave = NULL;
		sc->host_vmcb = NULL;
	}
	if (svm_iopm)
		__free_pages(svm_iopm, get_order(SVM_IOPM_SIZE));
	svm_iopm = NULL;
}

static int svm_cpu_enable(void)
{
	struct svm_cpu *sc = this_cpu_ptr(&svm_cpus);
	u64 efer;

	rdmsrl(MSR_EFER, efer);
	if (efer & EFER_SVME)
		return -EBUSY;
	sc->asid_generation++;
	if (sc->asid_generation < 2)
		sc->asid_generation = 2;
	/* The first VMRUN of each ASID after this must flush: pretend all are used up. */
	sc->next_asid = svm_nr_asids;
	sc->last = NULL;
	wrmsrl(MSR_EFER, efer | EFER_SVME);
	wrmsrl(SVM_MSR_VM_HSAVE_PA, page_to_phys(sc->hsave));
	sc->enabled = true;
	return 0;
}

static void svm_cpu_disable(void)
{
	struct svm_cpu *sc = this_cpu_ptr(&svm_cpus);
	u64 efer;

	if (!sc->enabled)
		return;
	sc->enabled = false;
	rdmsrl(MSR_EFER, efer);
	if (!(efer & EFER_SVME))
		return;
	/*
	 * In an emergency the CPU may have been on its way into a guest: let NMI and INIT through.
	 */
	svm_stgi();
	wrmsrl(SVM_MSR_VM_HSAVE_PA, 0);
	wrmsrl(MSR_EFER, efer & ~EFER_SVME);
}

/* ---- a vCPU's control block ---------------------------------------------------------------- */

/* Two bits per MSR (read, write) in three ranges of 8192 (APM2 15.11). */
void svm_msr_intercept(struct svm_vcpu *svm, u32 msr, bool read, bool write)
{
	static const u32 base[] = { 0, 0xc0000000, 0xc0010000 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(base); i++) {
		u32 bit;
		unsigned long *map = svm->msrpm;

		if (msr < base[i] || msr - base[i] >= 0x2000)
			continue;
		bit = i * 0x800 * 8 + (msr - base[i]) * 2;
		__assign_bit(bit, map, read);
		__assign_bit(bit + 1, map, write);
		svm_dirty(svm->vmcb, SVM_CLEAN_PERM_MAP);
		return;
	}
}

/*
 * #DB and #AC are taken so that a guest cannot keep the CPU delivering them for ever, #UD for the
 * other vendor's hypercalls; #MC belongs to the host.
 */
#define SVM_EXCEPTIONS	(BIT(1) | BIT(6) | BIT(17) | BIT(18))

static void svm_init_intercepts(struct svm_vmcb *vmcb)
{
	vmcb->intercept_cr = SVM_CR_WRITE(4);
	vmcb->intercept_dr = SVM_DR_ALL;
	vmcb->intercept_exceptions = SVM_EXCEPTIONS;
	vmcb->intercept1 = SVM_I1_INTR | SVM_I1_NMI | SVM_I1_SMI | SVM_I1_INIT | SVM_I1_RDPMC |
			   SVM_I1_CPUID | SVM_I1_RSM | SVM_I1_INVD | SVM_I1_HLT | SVM_I1_INVLPGA |
			   SVM_I1_IOIO | SVM_I1_MSR | SVM_I1_SHUTDOWN;
	vmcb->intercept2 = SVM_I2_VMRUN | SVM_I2_VMMCALL | SVM_I2_VMLOAD | SVM_I2_VMSAVE |
			   SVM_I2_STGI | SVM_I2_CLGI | SVM_I2_SKINIT | SVM_I2_WBINVD |
			   SVM_I2_MONITOR | SVM_I2_MWAIT | SVM_I2_XSETBV | SVM_I2_RDPRU;
	vmcb->intercept3 = SVM_I3_INVLPGB | SVM_I3_INVLPGB_ILLEGAL | SVM_I3_MCOMMIT |
			   SVM_I3_TLBSYNC;
}

static int svm_vcpu_init(struct hv_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	unsigned int i;

	svm->vmcb = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	svm->msrpm = alloc_pages_exact(SVM_MSRPM_SIZE, GFP_KERNEL_ACCOUNT);
	if (!svm->vmcb || !svm->msrpm)
		return -ENOMEM;
	memset(svm->msrpm, 0xff, SVM_MSRPM_SIZE);
	for (i = 0; i < ARRAY_SIZE(svm_direct_msrs); i++)
		svm_msr_intercept(svm, svm_direct_msrs[i], false, false);
	svm->world.guest_pa = __pa(svm->vmcb);
	return 0;
}

static void svm_vcpu_free(struct hv_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	int cpu;

	/* A later vCPU at the same address must not pass for this one. */
	for_each_possible_cpu(cpu)
		cmpxchg(&per_cpu_ptr(&svm_cpus, cpu)->last, vcpu, NULL);
	free_page((unsigned long)svm->vmcb);
	if (svm->msrpm)
		free_pages_exact(svm->msrpm, SVM_MSRPM_SIZE);
}

static void svm_vcpu_reset(struct hv_vcpu *vcpu, bool init)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_vmcb *vmcb = svm->vmcb;

	svm_init_intercepts(vmcb);
	vmcb->iopm_base_pa = page_to_phys(svm_iopm);
	vmcb->msrpm_base_pa = __pa(svm->msrpm);
	vmcb->np_control = SVM_NP_ENABLE;
	vmcb->int_ctl = SVM_V_INTR_MASKING;
	vmcb->int_state = 0;
	vmcb->event_inj = 0;
	vmcb->exit_int_info = 0;
	vmcb->clean = 0;
	vmcb->tsc_offset = vcpu->pv.tsc_offset;
	if (!init) {
		vmcb->g_pat = 0x0007040600070406ULL;	/* APM2 7.8.2 */
		vmcb->star = vmcb->lstar = vmcb->cstar = vmcb->sfmask = 0;
		vmcb->kernel_gs_base = 0;
		vmcb->sysenter_cs = vmcb->sysenter_esp = vmcb->sysenter_eip = 0;
		vmcb->dbgctl = 0;
	}
	svm->nmi_masked = svm->nmi_iret = svm->nmi_step = false;
	svm->asid_generation = 0;
	svm_update(vcpu);
}

/* Which MSRs go past us; with a filter of user space's, only those it allows. */
static void svm_update_msrs(struct hv_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	unsigned int i;

	if (!rcu_access_pointer(vcpu->vm->msr_filter) && !svm->msrs_filtered)
		return;
	svm->msrs_filtered = true;
	for (i = 0; i < ARRAY_SIZE(svm_direct_msrs); i++) {
		u32 index = svm_direct_msrs[i];

		svm_msr_intercept(svm, index, !hv_msr_allowed(vcpu->vm, index, KVM_MSR_FILTER_READ),
				  !hv_msr_allowed(vcpu->vm, index, KVM_MSR_FILTER_WRITE));
	}
}

/* KVM_CAP_X86_DISABLE_EXITS; PAUSE is not intercepted at all. */
static void svm_update_exits(const struct hv_vm *vm, struct svm_vmcb *vmcb)
{
	if (vm->disabled_exits & KVM_X86_DISABLE_EXITS_HLT)
		vmcb->intercept1 &= ~SVM_I1_HLT;
	if (vm->disabled_exits & KVM_X86_DISABLE_EXITS_MWAIT)
		vmcb->intercept2 &= ~(SVM_I2_MONITOR | SVM_I2_MWAIT);
}

/* Intercepts and fields that depend on CPUID, guest debug and the TSC offset. */
void svm_update(struct hv_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_vmcb *vmcb = svm->vmcb;
	u32 exceptions = SVM_EXCEPTIONS;
	const struct hv_cpuid *cpuid = vcpu->cpuid;
	const struct kvm_cpuid_entry2 *e;

	if ((vcpu->guest_debug & KVM_GUESTDBG_ENABLE) &&
	    (vcpu->guest_debug & KVM_GUESTDBG_USE_SW_BP))
		exceptions |= BIT(3);
	vmcb->intercept_exceptions = exceptions;
	if (!vcpu->dr_loaded)
		vmcb->intercept_dr = SVM_DR_ALL;
	vmcb->nested_cr3 = hv_mmu_root(vcpu->vm, vcpu->smm.active);
	svm_dirty(vmcb, SVM_CLEAN_NPT);
	svm_update_msrs(vcpu);
	svm_update_exits(vcpu->vm, vmcb);

	e = hv_cpuid_find(cpuid, 7, 0);
	if (e && (e->ebx & BIT(10)))
		vmcb->intercept3 &= ~SVM_I3_INVPCID;
	else
		vmcb->intercept3 |= SVM_I3_INVPCID;
	if (cpuid->has_rdtscp)
		vmcb->intercept2 &= ~SVM_I2_RDTSCP;
	else
		vmcb->intercept2 |= SVM_I2_RDTSCP;

	vmcb->tsc_offset = vcpu->pv.tsc_offset;
	svm_dirty(vmcb, SVM_CLEAN_INTERCEPTS);
	vcpu->regs_dirty |= vcpu->regs_valid & HV_REGS_DR;
}

static void svm_vcpu_load(struct hv_vcpu *vcpu, int cpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_cpu *sc = per_cpu_ptr(&svm_cpus, cpu);

	if (vcpu->cpu != cpu) {
		svm->asid_generation = 0;
		svm->vmcb->clean = 0;
	}
	svm->world.host_pa = page_to_phys(sc->host_vmcb);
	if (READ_ONCE(sc->last) != vcpu) {
		WRITE_ONCE(sc->last, vcpu);
		svm->vmcb->clean = 0;
		/* Another guest's branch predictions must not steer this one. */
		indirect_branch_prediction_barrier();
	}
}

/* ---- registers ----------------------------------------------------------------------------- */

static void svm_seg_load(struct kvm_segment *to, const struct svm_segment *from)
{
	*to = (struct kvm_segment) {
		.base = from->base,
		.limit = from->limit,
		.selector = from->selector,
		.type = from->attrib & 0xf,
		.s = (from->attrib >> 4) & 1,
		.dpl = (from->attrib >> 5) & 3,
		.present = (from->attrib >> 7) & 1,
		.avl = (from->attrib >> 8) & 1,
		.l = (from->attrib >> 9) & 1,
		.db = (from->attrib >> 10) & 1,
		.g = (from->attrib >> 11) & 1,
		.unusable = !((from->attrib >> 7) & 1),
	};
}

static void svm_seg_store(struct svm_segment *to, const struct kvm_segment *from)
{
	u16 attrib = (from->type & 0xf) | (from->s & 1) << 4 | (from->dpl & 3) << 5 |
		     (from->avl & 1) << 8 | (from->l & 1) << 9 | (from->db & 1) << 10 |
		     (from->g & 1) << 11;

	if (from->present && !from->unusable)
		attrib |= BIT(7);
	to->base = from->base;
	to->limit = from->limit;
	to->selector = from->selector;
	to->attrib = attrib;
}

static void svm_code_load(struct hv_regs *r, const struct svm_vmcb *vmcb)
{
	svm_seg_load(&r->seg[HV_CS], &vmcb->cs);
	svm_seg_load(&r->seg[HV_SS], &vmcb->ss);
	/* The CPU keeps the privilege level apart from SS; everybody else reads it there. */
	r->seg[HV_SS].dpl = vmcb->cpl;
	/* The code segment's G bit is not kept by the hardware: derive it from the limit. */
	r->seg[HV_CS].g = vmcb->cs.limit > 0xfffff;
}

static void svm_segs_load(struct hv_regs *r, const struct svm_vmcb *vmcb)
{
	svm_seg_load(&r->seg[HV_ES], &vmcb->es);
	svm_seg_load(&r->seg[HV_DS], &vmcb->ds);
	svm_seg_load(&r->seg[HV_FS], &vmcb->fs);
	svm_seg_load(&r->seg[HV_GS], &vmcb->gs);
	svm_seg_load(&r->seg[HV_LDTR], &vmcb->ldtr);
	svm_seg_load(&r->seg[HV_TR], &vmcb->tr);
	/* VMSAVE may leave TR's busy bit clear; software expects a busy TSS. */
	r->seg[HV_TR].type |= 2;
	r->gdt = (struct kvm_dtable) { .base = vmcb->gdtr.base, .limit = vmcb->gdtr.limit };
	r->idt = (struct kvm_dtable) { .base = vmcb->idtr.base, .limit = vmcb->idtr.limit };
}

static void svm_segs_store(const struct hv_regs *r, struct svm_vmcb *vmcb)
{
	svm_seg_store(&vmcb->es, &r->seg[HV_ES]);
	svm_seg_store(&vmcb->cs, &r->seg[HV_CS]);
	svm_seg_store(&vmcb->ss, &r->seg[HV_SS]);
	svm_seg_store(&vmcb->ds, &r->seg[HV_DS]);
	svm_seg_store(&vmcb->fs, &r->seg[HV_FS]);
	svm_seg_store(&vmcb->gs, &r->seg[HV_GS]);
	svm_seg_store(&vmcb->ldtr, &r->seg[HV_LDTR]);
	svm_seg_store(&vmcb->tr, &r->seg[HV_TR]);
	vmcb->cpl = r->seg[HV_SS].dpl & 3;
	vmcb->gdtr.base = r->gdt.base;
	vmcb->gdtr.limit = r->gdt.limit;
	vmcb->idtr.base = r->idt.base;
	vmcb->idtr.limit = r->idt.limit;
	svm_dirty(vmcb, SVM_CLEAN_SEG | SVM_CLEAN_DT);
}

static void svm_regs_load(struct hv_vcpu *vcpu, u32 groups)
{
	const struct svm_vmcb *vmcb = to_svm(vcpu)->vmcb;
	struct hv_regs *r = &vcpu->regs;

	if (groups & HV_REGS_CODE)
		svm_code_load(r, vmcb);
	if (groups & HV_REGS_SEG)
		svm_segs_load(r, vmcb);
	if (groups & HV_REGS_CR) {
		r->cr0 = vmcb->cr0;
		r->cr2 = vmcb->cr2;
		r->cr3 = vmcb->cr3;
		r->cr4 = vmcb->cr4;
		r->efer = vmcb->efer & ~(u64)EFER_SVME;
	}
	if ((groups & HV_REGS_DR) && !(vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP)) {
		r->dr6 = vmcb->dr6;
		r->dr7 = vmcb->dr7;
	}
}

static void svm_regs_store(struct hv_vcpu *vcpu, u32 groups)
{
	struct svm_vmcb *vmcb = to_svm(vcpu)->vmcb;
	const struct hv_regs *r = &vcpu->regs;

	if (groups & HV_REGS_SEG)
		svm_segs_store(r, vmcb);
	if (groups & HV_REGS_CR) {
		vmcb->cr0 = r->cr0;
		vmcb->cr2 = r->cr2;
		vmcb->cr3 = r->cr3;
		vmcb->cr4 = r->cr4;
		/* VMRUN refuses a guest EFER without SVME (APM2 15.5.1). */
		vmcb->efer = r->efer | EFER_SVME;
		svm_dirty(vmcb, SVM_CLEAN_CR | SVM_CLEAN_CR2);
	}
	if (groups & HV_REGS_DR) {
		vmcb->dr6 = r->dr6;
		vmcb->dr7 = hv_debug_dr7(vcpu);
		svm_dirty(vmcb, SVM_CLEAN_DR);
	}
}

/* ---- MSRs kept in the VMCB ----------------------------------------------------------------- */

static u64 *svm_msr_field(struct svm_vmcb *vmcb, u32 index)
{
	switch (index) {
	case MSR_STAR:			return &vmcb->star;
	case MSR_LSTAR:			return &vmcb->lstar;
	case MSR_CSTAR:			return &vmcb->cstar;
	case MSR_SYSCALL_MASK:		return &vmcb->sfmask;
	case MSR_KERNEL_GS_BASE:	return &vmcb->kernel_gs_base;
	case MSR_IA32_SYSENTER_CS:	return &vmcb->sysenter_cs;
	case MSR_IA32_SYSENTER_ESP:	return &vmcb->sysenter_esp;
	case MSR_IA32_SYSENTER_EIP:	return &vmcb->sysenter_eip;
	case MSR_IA32_CR_PAT:		return &vmcb->g_pat;
	case MSR_IA32_DEBUGCTLMSR:	return &vmcb->dbgctl;
	default:			return NULL;
	}
}

static int svm_msr_get(struct hv_vcpu *vcpu, u32 index, u64 *value)
{
	struct svm_vmcb *vmcb = to_svm(vcpu)->vmcb;
	const u64 *field = svm_msr_field(vmcb, index);

	if (index == MSR_FS_BASE || index == MSR_GS_BASE) {
		hv_regs_need(vcpu, HV_REGS_SEG);
		*value = vcpu->regs.seg[index == MSR_FS_BASE ? HV_FS : HV_GS].base;
		return 0;
	}
	if (index == MSR_IA32_SPEC_CTRL) {
		*value = to_svm(vcpu)->world.guest_spec_ctrl;
		return 0;
	}
	if (!field)
		return -ENOENT;
	*value = *field;
	return 0;
}

static int svm_msr_set(struct hv_vcpu *vcpu, u32 index, u64 value)
{
	struct svm_vmcb *vmcb = to_svm(vcpu)->vmcb;
	u64 *field = svm_msr_field(vmcb, index);

	if (index == MSR_FS_BASE || index == MSR_GS_BASE) {
		hv_regs_need(vcpu, HV_REGS_SEG);
		vcpu->regs.seg[index == MSR_FS_BASE ? HV_FS : HV_GS].base = value;
		hv_regs_dirty(vcpu, HV_REGS_SEG);
		return 0;
	}
	if (index == MSR_IA32_SPEC_CTRL) {
		to_svm(vcpu)->world.guest_spec_ctrl = value;
		return 0;
	}
	if (!field)
		return -ENOENT;
	*field = value;
	if (index == MSR_IA32_CR_PAT)
		svm_dirty(vmcb, SVM_CLEAN_NPT);
	return 0;
}

/* ---- events -------------------------------------------------------------------------------- */

static void svm_inject(struct hv_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_vmcb *vmcb = svm->vmcb;
	const struct hv_events *ev = &vcpu->events;

	if (ev->exception.injected) {
		vmcb->event_inj = ev->exception.vector | SVM_EVT_EXCEPTION | SVM_EVT_VALID;
		if (ev->exception.has_error) {
			vmcb->event_inj |= SVM_EVT_ERROR_VALID;
			vmcb->event_inj_error = ev->exception.error_code;
		}
	} else if (ev->nmi_injected) {
		vmcb->event_inj = SVM_EVT_NMI | SVM_EVT_VALID;
		svm->nmi_masked = true;
		vmcb->intercept1 |= SVM_I1_IRET;
		svm_dirty(vmcb, SVM_CLEAN_INTERCEPTS);
	} else if (ev->interrupt.injected) {
		vmcb->event_inj = ev->interrupt.vector | SVM_EVT_VALID |
				  (ev->interrupt.soft ? SVM_EVT_SOFT : SVM_EVT_INTR);
	}
}

static bool svm_event_allowed(struct hv_vcpu *vcpu, enum hv_event_kind kind)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (svm->vmcb->int_state & SVM_INT_SHADOW)
		return false;
	if (kind == HV_EVENT_NMI)
		return !svm->nmi_masked;
	return vcpu->regs.rflags & X86_EFLAGS_IF;
}

/* An NMI is waiting for the IRET that is being executed: step over it. */
static void svm_step_iret(struct svm_vcpu *svm)
{
	if (svm->nmi_step)
		return;
	svm->nmi_step = true;
	svm->nmi_step_guest_tf = svm->vcpu.regs.rflags & X86_EFLAGS_TF;
	svm->vcpu.regs.rflags |= X86_EFLAGS_TF;
}

static void svm_event_window(struct hv_vcpu *vcpu, enum hv_event_kind kind)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_vmcb *vmcb = svm->vmcb;

	switch (kind) {
	case HV_EVENT_NMI:
		if (svm->nmi_iret)
			svm_step_iret(svm);
		else if (!svm->nmi_masked)
			/* Only the interrupt shadow is in the way: the next exit is soon enough. */
			svm_event_window(vcpu, HV_EVENT_IRQ);
		break;
	case HV_EVENT_IRQ:
		/*
		 * A virtual interrupt of the highest priority: the CPU would take it as soon as the
		 * guest can take one, and exits instead. While it is up the guest's writes of CR8
		 * exit, too: QEMU's TCG aborts when a guest writes CR8 under a pending virtual
		 * interrupt.
		 */
		vmcb->intercept_cr |= SVM_CR_WRITE(8);
		vmcb->int_ctl |= SVM_V_IRQ | SVM_V_IGN_TPR | SVM_V_INTR_PRIO_MASK;
		vmcb->intercept1 |= SVM_I1_VINTR;
		svm_dirty(vmcb, SVM_CLEAN_INTR | SVM_CLEAN_INTERCEPTS);
		break;
	case HV_EVENT_TPR:
		vmcb->intercept_cr |= SVM_CR_WRITE(8);
		svm_dirty(vmcb, SVM_CLEAN_INTERCEPTS);
		break;
	}
}

static u32 svm_blocking_get(struct hv_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u32 bits = 0;

	/* One bit for both kinds of shadow (APM2 15.21.5). */
	if (svm->vmcb->int_state & SVM_INT_SHADOW)
		bits |= HV_BLOCK_SHADOW;
	if (svm->nmi_masked)
		bits |= HV_BLOCK_NMI;
	return bits;
}

static void svm_blocking_set(struct hv_vcpu *vcpu, u32 mask, u32 bits)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_vmcb *vmcb = svm->vmcb;

	if (mask & HV_BLOCK_SHADOW)
		vmcb->int_state = bits & HV_BLOCK_SHADOW ? SVM_INT_SHADOW : 0;
	if (!(mask & HV_BLOCK_NMI))
		return;
	svm->nmi_masked = bits & HV_BLOCK_NMI;
	if (svm->nmi_masked)
		vmcb->intercept1 |= SVM_I1_IRET;
	else
		vmcb->intercept1 &= ~SVM_I1_IRET;
	svm_dirty(vmcb, SVM_CLEAN_INTERCEPTS);
}

/* ---- entering the guest -------------------------------------------------------------------- */

static void svm_new_asid(struct svm_vcpu *svm, struct svm_cpu *sc)
{
	if (sc->next_asid >= svm_nr_asids) {
		sc->asid_generation++;
		sc->next_asid = 1;	/* 0 is the host */
		svm->vmcb->tlb_control = SVM_TLB_FLUSH_ALL;
	}
	svm->asid_generation = sc->asid_generation;
	svm->vmcb->asid = sc->next_asid++;
	svm_dirty(svm->vmcb, SVM_CLEAN_ASID);
}

static void svm_tlb_flush(struct hv_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (svm_features & SVM_FEAT_FLUSH_BY_ASID)
		svm->vmcb->tlb_control = SVM_TLB_FLUSH_ASID;
	else
		svm->asid_generation = 0;	/* a fresh ASID has no entries */
}

/* Inner loop entered: what VMLOAD of the host's state must bring back on this CPU. */
static void svm_inner_enter(struct hv_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	asm volatile("1: vmsave %%rax\n2:" _ASM_EXTABLE(1b, 2b)
		     : : "a"(svm->world.host_pa) : "memory");
	svm->world.host_spec_ctrl = this_cpu_read(x86_spec_ctrl_current);
	if (!hv_caps.spec_ctrl)
		svm->world.guest_spec_ctrl = svm->world.host_spec_ctrl;
}

static void svm_run(struct hv_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_vmcb *vmcb = svm->vmcb;
	struct svm_cpu *sc = this_cpu_ptr(&svm_cpus);
	struct hv_regs *r = &vcpu->regs;

	vmcb->rax = r->gpr[HV_RAX];
	vmcb->rsp = r->gpr[HV_RSP];
	vmcb->rip = r->rip;
	vmcb->rflags = r->rflags;
	if (vcpu->lapic)
		vmcb->int_ctl = (vmcb->int_ctl & ~SVM_V_TPR_MASK) | hv_lapic_get_cr8(vcpu);
	if (unlikely(svm->asid_generation != sc->asid_generation))
		svm_new_asid(svm, sc);
	/* What an entry that faults leaves behind (enter.S) must look like a failed one. */
	vmcb->exit_code = SVM_EXIT_INVALID;

	/* Emulated CPUs let a guest set this, and then refuse to enter (see svm_exit_invalid). */
	if (unlikely((vmcb->cr0 & (X86_CR0_NW | X86_CR0_CD)) == X86_CR0_NW))
		return;

	svm_clgi();
	svm_enter(r->gpr, &svm->world);
	svm_stgi();

	r->gpr[HV_RAX] = vmcb->rax;
	r->gpr[HV_RSP] = vmcb->rsp;
	r->rip = vmcb->rip;
	r->rflags = vmcb->rflags;
	vcpu->regs_valid = HV_REGS_GPR;
	vmcb->tlb_control = SVM_TLB_NONE;
	vmcb->event_inj = 0;
	if (svm_features & SVM_FEAT_VMCB_CLEAN)
		vmcb->clean = SVM_CLEAN_ALL;
	if (vcpu->lapic && (vmcb->int_ctl & SVM_V_TPR_MASK) != hv_lapic_get_cr8(vcpu))
		hv_lapic_set_cr8(vcpu, vmcb->int_ctl & SVM_V_TPR_MASK);
}

static u8 svm_insn_len(struct hv_vcpu *vcpu)
{
	const struct svm_vmcb *vmcb = to_svm(vcpu)->vmcb;
	u64 len;

	if (vmcb->exit_code == SVM_EXIT_IOIO) {
		/* EXITINFO2 has the next RIP whether or not the CPU has NRIPS (APM2 15.10.2). */
		len = vmcb->exit_info2 - vmcb->rip;
	} else {
		if (!(svm_features & SVM_FEAT_NRIPS) || !vmcb->next_rip)
			return 0;
		len = vmcb->next_rip - vmcb->rip;
	}
	return len <= 15 ? len : 0;
}

struct hv_x86_ops hv_svm_ops __initdata = {
	.name = "svm",
	.vcpu_size = sizeof(struct svm_vcpu),
	.hw_setup = svm_hw_setup,
	.hw_unsetup = svm_hw_unsetup,
	.cpu_enable = svm_cpu_enable,
	.cpu_disable = svm_cpu_disable,
	.vcpu_init = svm_vcpu_init,
	.vcpu_free = svm_vcpu_free,
	.vcpu_reset = svm_vcpu_reset,
	.vcpu_load = svm_vcpu_load,
	.inner_enter = svm_inner_enter,
	.regs_load = svm_regs_load,
	.regs_store = svm_regs_store,
	.run = svm_run,
	.handle_exit = svm_handle_exit,
	.inject = svm_inject,
	.event_allowed = svm_event_allowed,
	.event_window = svm_event_window,
	.blocking_get = svm_blocking_get,
	.blocking_set = svm_blocking_set,
	.msr_get = svm_msr_get,
	.msr_set = svm_msr_set,
	.insn_len = svm_insn_len,
	.tlb_flush = svm_tlb_flush,
	.update = svm_update,
};
