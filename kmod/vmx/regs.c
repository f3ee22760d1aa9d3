// SPDX-License-Identifier: GPL-2.0-only
/* Guest registers in and out of the VMCS, and the MSRs that are kept there or beside it. */
#include <linux/mm.h>
#include <asm/msr.h>
#include <asm/msr-index.h>
#include <asm/processor.h>
#include <asm/processor-flags.h>
#include <asm/tlbflush.h>
#include <asm/debugreg.h>

#include "../mmu/mmu.h"
#include "../x86/x86.h"
#include "vmx.h"

/* Segments in the order of the VMCS fields. */
static_assert(HV_ES == 0 && HV_CS == 1 && HV_SS == 2 && HV_DS == 3 && HV_FS == 4 && HV_GS == 5 &&
	      HV_LDTR == 6 && HV_TR == 7);

/* ---- segments ------------------------------------------------------------------------------ */

static void vmx_access_load(struct kvm_segment *s, u32 access)
{
	s->type = access & 0xf;
	s->s = !!(access & VMX_ACCESS_S);
	s->dpl = access >> 5 & 3;
	s->avl = !!(access & VMX_ACCESS_AVL);
	s->l = !!(access & VMX_ACCESS_L);
	s->db = !!(access & VMX_ACCESS_DB);
	s->g = !!(access & VMX_ACCESS_G);
	s->unusable = !!(access & VMX_ACCESS_UNUSABLE);
	/* What is usable is present, and some users of the ABI keep only the present bit. */
	s->present = !s->unusable;
	s->padding = 0;
}

static u32 vmx_access_of(const struct kvm_segment *s, unsigned int n)
{
	u32 access;

	if (s->unusable || !s->present)
		return VMX_ACCESS_UNUSABLE;
	access = (s->type & 0xf) | (s->dpl & 3) << 5 | VMX_ACCESS_P;
	if (s->s & 1)
		access |= VMX_ACCESS_S;
	if (s->avl & 1)
		access |= VMX_ACCESS_AVL;
	if (s->l & 1)
		access |= VMX_ACCESS_L;
	if (s->db & 1)
		access |= VMX_ACCESS_DB;
	if (s->g & 1)
		access |= VMX_ACCESS_G;
	/*
	 * In use means accessed, and an entry insists on it (26.3.1.2). User space tends to leave
	 * the bit out of the segments it makes up.
	 */
	if (n != HV_LDTR)
		access |= 1;
	return access;
}

static void vmx_seg_load(struct hv_regs *r, unsigned int n)
{
	struct kvm_segment *s = &r->seg[n];

	vmx_access_load(s, vmx_read(VMX_GUEST_ACCESS(n)));
	s->base = vmx_read(VMX_GUEST_BASE(n));
	s->limit = vmx_read(VMX_GUEST_LIMIT(n));
	s->selector = vmx_read(VMX_GUEST_SELECTOR(n));
}

static void vmx_seg_store(const struct hv_regs *r, unsigned int n)
{
	const struct kvm_segment *s = &r->seg[n];

	vmx_write(VMX_GUEST_ACCESS(n), vmx_access_of(s, n));
	vmx_write(VMX_GUEST_BASE(n), s->base);
	vmx_write(VMX_GUEST_LIMIT(n), s->limit);
	vmx_write(VMX_GUEST_SELECTOR(n), s->selector);
}

/* Mode and privilege: all that is asked of HV_REGS_CODE. HV_REGS_SEG brings the rest. */
static void vmx_code_load(struct hv_regs *r)
{
	vmx_access_load(&r->seg[HV_CS], vmx_read(VMX_GUEST_ACCESS(HV_CS)));
	vmx_access_load(&r->seg[HV_SS], vmx_read(VMX_GUEST_ACCESS(HV_SS)));
	r->seg[HV_CS].base = vmx_read(VMX_GUEST_BASE(HV_CS));
}

static void vmx_segs_load(struct hv_regs *r)
{
	unsigned int n;

	for (n = 0; n < HV_NR_SEGS; n++)
		vmx_seg_load(r, n);
	r->gdt = (struct kvm_dtable) {
		.base = vmx_read(VMX_GUEST_GDTR_BASE), .limit = vmx_read(VMX_GUEST_GDTR_LIMIT) };
	r->idt = (struct kvm_dtable) {
		.base = vmx_read(VMX_GUEST_IDTR_BASE), .limit = vmx_read(VMX_GUEST_IDTR_LIMIT) };
}

static void vmx_segs_store(const struct hv_regs *r)
{
	unsigned int n;

	for (n = 0; n < HV_NR_SEGS; n++)
		vmx_seg_store(r, n);
	vmx_write(VMX_GUEST_GDTR_BASE, r->gdt.base);
	vmx_write(VMX_GUEST_GDTR_LIMIT, r->gdt.limit);
	vmx_write(VMX_GUEST_IDTR_BASE, r->idt.base);
	vmx_write(VMX_GUEST_IDTR_LIMIT, r->idt.limit);
}

/* ---- control registers --------------------------------------------------------------------- */

static bool vmx_pae_paging(const struct hv_regs *r)
{
	return (r->cr0 & X86_CR0_PG) && (r->cr4 & X86_CR4_PAE) && !(r->efer & EFER_LMA);
}

int vmx_pdptes_read(struct hv_vcpu *vcpu, u64 cr3, bool may_sleep, u64 pdpte[4])
{
	/* SDM table 4-8: bits that must be 0 are 1, 2, 5 to 8 and those beyond the width. */
	u64 gpa = cr3 & 0xffffffe0ULL, reserved = 0x1e6;
	unsigned int i;

	if (vcpu->cpuid->maxphyaddr < 64)
		reserved |= ~0ULL << vcpu->cpuid->maxphyaddr;
	if (hv_guest_read_nofault(vcpu->vm, gpa, pdpte, 4 * sizeof(*pdpte))) {
		if (!may_sleep)
			return -EAGAIN;
		if (hv_guest_read(vcpu->vm, gpa, pdpte, 4 * sizeof(*pdpte)))
			return -EFAULT;
	}
	for (i = 0; i < 4; i++)
		if ((pdpte[i] & 1) && (pdpte[i] & reserved))
			return 1;
	return 0;
}

void vmx_pdptes_write(const u64 pdpte[4])
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		vmx_write(VMX_GUEST_PDPTE(i), pdpte[i]);
}

static void vmx_crs_load(struct vmx_vcpu *vmx)
{
	struct hv_regs *r = &vmx->vcpu.regs;

	r->cr0 = (vmx_read(VMX_GUEST_CR0) & VMX_CR0_OWNED) | (vmx->cr0_shadow & ~VMX_CR0_OWNED);
	r->cr2 = vmx->cr2;
	r->cr3 = vmx_read(VMX_GUEST_CR3);
	r->cr4 = (vmx_read(VMX_GUEST_CR4) & vmx->cr4_owned) | (vmx->cr4_shadow & ~vmx->cr4_owned);
	r->efer = vmx->efer;
}

static void vmx_efer_store(struct vmx_vcpu *vmx)
{
	u64 efer = vmx->vcpu.regs.efer;
	u32 entry = vmx->entry_ctls & ~VMX_ENTRY_CTL_IA32E;

	vmx->efer = efer;
	vmx_write(VMX_GUEST_EFER, efer);
	/* The control and EFER.LMA must agree (26.3.1.1). */
	if (efer & EFER_LMA)
		entry |= VMX_ENTRY_CTL_IA32E;
	if (entry != vmx->entry_ctls) {
		vmx->entry_ctls = entry;
		vmx_write(VMX_ENTRY_CONTROLS, entry);
	}
	if (vmx->msrs_loaded && (efer & EFER_SCE))
		vmx_syscall_load(vmx);
}

static void vmx_crs_store(struct vmx_vcpu *vmx)
{
	const struct hv_regs *r = &vmx->vcpu.regs;
	u64 hw;

	hw = (r->cr0 | X86_CR0_NE) & vmx_caps.cr0_fixed1 & ~(u64)(X86_CR0_CD | X86_CR0_NW);
	vmx_write(VMX_GUEST_CR0, hw);
	if (vmx->cr0_shadow != r->cr0) {
		vmx->cr0_shadow = r->cr0;
		vmx_write(VMX_CR0_SHADOW, r->cr0);
	}
	/* A machine check must reach the host also while the guest has no use for it. */
	hw = r->cr4 | vmx_caps.cr4_fixed0 | (__read_cr4() & X86_CR4_MCE);
	vmx_write(VMX_GUEST_CR4, hw & vmx_caps.cr4_fixed1);
	if (vmx->cr4_shadow != r->cr4) {
		vmx->cr4_shadow = r->cr4;
		vmx_write(VMX_CR4_SHADOW, r->cr4);
		vmx_umip_update(vmx);
	}
	vmx_write(VMX_GUEST_CR3, r->cr3);
	vmx->cr2 = r->cr2;
	vmx_efer_store(vmx);
	if (vmx_pae_paging(r))
		vmx->pdptes_stale = true;
}

/* ---- the groups ---------------------------------------------------------------------------- */

void vmx_regs_load(struct hv_vcpu *vcpu, u32 groups)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct hv_regs *r = &vcpu->regs;

	if (groups & HV_REGS_SEG)
		vmx_segs_load(r);
	else if (groups & HV_REGS_CODE)
		vmx_code_load(r);
	if (groups & HV_REGS_CR)
		vmx_crs_load(vmx);
	if ((groups & HV_REGS_DR) && !(vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP)) {
		r->dr7 = vmx_read(VMX_GUEST_DR7);
		/* Otherwise DR6 is where the last #DB or MOV left it: in @r. */
		if (vmx->dr_direct)
			get_debugreg(r->dr6, 6);
	}
}

void vmx_regs_store(struct hv_vcpu *vcpu, u32 groups)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	const struct hv_regs *r = &vcpu->regs;

	if (groups & HV_REGS_SEG)
		vmx_segs_store(r);
	if (groups & HV_REGS_CR)
		vmx_crs_store(vmx);
	if (groups & HV_REGS_DR) {
		vmx_write(VMX_GUEST_DR7, (u32)hv_debug_dr7(vcpu));
		if (vmx->dr_direct)
			set_debugreg(r->dr6, 6);
	}
}

/* ---- MSRs ---------------------------------------------------------------------------------- */

/* The guest's SYSCALL registers into the CPU: from here to inner_leave. */
void vmx_syscall_load(struct vmx_vcpu *vmx)
{
	static const u32 msrs[] = { MSR_STAR, MSR_LSTAR, MSR_SYSCALL_MASK };
	unsigned int i;

	for (i = 0; i < VMX_NR_SYSCALL; i++)
		wrmsrl(msrs[i], vmx->syscall[i]);
	vmx->syscall_loaded = true;
}

static u64 *vmx_msr_beside(struct vmx_vcpu *vmx, u32 index)
{
	switch (index) {
	case MSR_STAR:			return &vmx->syscall[VMX_STAR];
	case MSR_LSTAR:			return &vmx->syscall[VMX_LSTAR];
	case MSR_SYSCALL_MASK:		return &vmx->syscall[VMX_FMASK];
	/* Only AMD's CPUs use it; here it is a place to keep a value. */
	case MSR_CSTAR:			return &vmx->cstar;
	default:			return NULL;
	}
}

static u32 vmx_msr_field(u32 index)
{
	switch (index) {
	case MSR_IA32_SYSENTER_CS:	return VMX_GUEST_SYSENTER_CS;
	case MSR_IA32_SYSENTER_ESP:	return VMX_GUEST_SYSENTER_ESP;
	case MSR_IA32_SYSENTER_EIP:	return VMX_GUEST_SYSENTER_EIP;
	case MSR_IA32_CR_PAT:		return VMX_GUEST_PAT;
	default:			return 0;
	}
}

int vmx_msr_get(struct hv_vcpu *vcpu, u32 index, u64 *value)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	const u64 *beside = vmx_msr_beside(vmx, index);
	u32 field = vmx_msr_field(index);

	if (beside)
		*value = *beside;
	else if (field)
		*value = vmx_read(field);
	else if (index == MSR_FS_BASE || index == MSR_GS_BASE) {
		hv_regs_need(vcpu, HV_REGS_SEG);
		*value = vcpu->regs.seg[index == MSR_FS_BASE ? HV_FS : HV_GS].base;
	} else if (index == MSR_KERNEL_GS_BASE) {
		if (vmx->msrs_loaded)
			rdmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
		*value = vmx->kernel_gs_base;
	} else if (index == MSR_IA32_SPEC_CTRL) {
		*value = vmx->world.guest_spec_ctrl;
	} else {
		return -ENOENT;
	}
	return 0;
}

static void vmx_spec_ctrl_set(struct vmx_vcpu *vmx, u64 value)
{
	vmx->world.guest_spec_ctrl = value;
	/* Who uses it once does so all the time; the price is a read at each exit. */
	if (value && !vmx->world.spec_ctrl_direct) {
		vmx->world.spec_ctrl_direct = 1;
		vmx_msr_intercept(vmx, MSR_IA32_SPEC_CTRL, false, false);
	}
}

int vmx_msr_set(struct hv_vcpu *vcpu, u32 index, u64 value)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u64 *beside = vmx_msr_beside(vmx, index);
	u32 field = vmx_msr_field(index);

	if (beside) {
		*beside = value;
		if (vmx->syscall_loaded)
			vmx_syscall_load(vmx);
	} else if (field) {
		vmx_write(field, value);
	} else if (index == MSR_FS_BASE || index == MSR_GS_BASE) {
		hv_regs_need(vcpu, HV_REGS_SEG);
		vcpu->regs.seg[index == MSR_FS_BASE ? HV_FS : HV_GS].base = value;
		hv_regs_dirty(vcpu, HV_REGS_SEG);
	} else if (index == MSR_KERNEL_GS_BASE) {
		vmx->kernel_gs_base = value;
		if (vmx->msrs_loaded)
			wrmsrl(MSR_KERNEL_GS_BASE, value);
	} else if (index == MSR_IA32_SPEC_CTRL) {
		vmx_spec_ctrl_set(vmx, value);
	} else {
		return -ENOENT;
	}
	return 0;
}
