// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an entry must clear on CPUs that leak: the L1 data cache (L1TF), and the buffers of CPUs
 * that leak them through MMIO only. The rest is in enter.S (VERW on CPUs with MDS, TAA or RFDS,
 * return stack, SPEC_CTRL, branch history), at a vCPU's arrival (IBPB) and in kmod/mmu (the size
 * of executable pages). What is done follows the host's mitigations= and l1tf=, as far as it
 * tells; l1tf and itlb_multihit of /sys/devices/system/cpu/vulnerabilities say what is done.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpu.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/sched/smt.h>
#include <asm/hardirq.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/vmx.h>

#include "../hv.h"
#include "mitigate.h"

/* Twice the L1 data cache of any CPU that has L1TF: whatever it replaces first, all of it goes. */
#define VMX_L1D_ORDER	4
#define VMX_L1D_SIZE	(PAGE_SIZE << VMX_L1D_ORDER)

static enum vmx_l1d_flush_state vmx_l1d_flush = VMENTER_L1D_FLUSH_NOT_REQUIRED;
static bool vmx_l1d_flushes, vmx_l1d_told;
static u8 *vmx_l1d_fill;	/* what to fill the cache with, where it has no flush command */

static enum vmx_l1d_flush_state vmx_l1d_choose(void)
{
	u64 arch_cap = 0;

	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		rdmsrl(MSR_IA32_ARCH_CAPABILITIES, arch_cap);
	if (!boot_cpu_has_bug(X86_BUG_L1TF) || (arch_cap & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH))
		return VMENTER_L1D_FLUSH_NOT_REQUIRED;
	switch (l1tf_mitigation) {
	case L1TF_MITIGATION_OFF:
		return VMENTER_L1D_FLUSH_NEVER;
	case L1TF_MITIGATION_FULL:
	case L1TF_MITIGATION_FULL_FORCE:
		return VMENTER_L1D_FLUSH_ALWAYS;
	default:
		return VMENTER_L1D_FLUSH_COND;
	}
}

int vmx_mitigate_init(void)
{
	struct page *pages;

	vmx_l1d_flush = vmx_l1d_choose();
	if (vmx_l1d_flush == VMENTER_L1D_FLUSH_COND || vmx_l1d_flush == VMENTER_L1D_FLUSH_ALWAYS) {
		if (!boot_cpu_has(X86_FEATURE_FLUSH_L1D)) {
			pages = alloc_pages(GFP_KERNEL | __GFP_ZERO, VMX_L1D_ORDER);
			if (!pages)
				return -ENOMEM;
			vmx_l1d_fill = page_address(pages);
		}
		vmx_l1d_flushes = true;
		if (sched_smt_active())
			pr_warn("this CPU leaks its L1 cache to guests on the other thread of a core (L1TF): turn SMT off (nosmt) if guests are not trusted\n");
	}
	l1tf_vmx_mitigation = vmx_l1d_flush;
	itlb_multihit_kvm_mitigation = hv_ops.tdp.small_exec;
	vmx_l1d_told = true;
	return 0;
}

void vmx_mitigate_exit(void)
{
	if (vmx_l1d_told)
		l1tf_vmx_mitigation = VMENTER_L1D_FLUSH_AUTO;
	itlb_multihit_kvm_mitigation = false;
	vmx_l1d_told = false;
	vmx_l1d_flushes = false;
	free_pages((unsigned long)vmx_l1d_fill, VMX_L1D_ORDER);
	vmx_l1d_fill = NULL;
}

static void vmx_l1d_refill(void)
{
	unsigned int i;

	/* Translations first, or the walks for them take lines of the cache from what was read. */
	for (i = 0; i < VMX_L1D_SIZE; i += PAGE_SIZE)
		READ_ONCE(vmx_l1d_fill[i]);
	sync_core();
	for (i = 0; i < VMX_L1D_SIZE; i += 64)
		READ_ONCE(vmx_l1d_fill[i]);
	/* Not only issued, but done. */
	rmb();
}

void vmx_mitigate_inner(void)
{
	/* The kernel's own code between two inner loops has touched what it should not show. */
	if (unlikely(vmx_l1d_flushes))
		kvm_set_cpu_l1tf_flush_l1d();
}

/*
 * Handlers of the inner loop touch the guest's and the vCPU's memory only; interrupts, which may
 * touch anything, set the mark as the inner loop's beginning does.
 */
void vmx_mitigate_enter(void)
{
	if (static_branch_unlikely(&mmio_stale_data_clear))
		x86_clear_cpu_buffers();
	if (likely(!vmx_l1d_flushes))
		return;
	if (vmx_l1d_flush != VMENTER_L1D_FLUSH_ALWAYS && !kvm_get_cpu_l1tf_flush_l1d())
		return;
	kvm_clear_cpu_l1tf_flush_l1d();
	if (vmx_l1d_fill)
		vmx_l1d_refill();
	else
		wrmsrl(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
}
