// SPDX-License-Identifier: GPL-2.0-only
/* A vCPU's VMCS: life, fields that are constant, fields that follow CPUID and guest debug, dump. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitmap.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/cpu_entry_area.h>
#include <asm/desc.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/segment.h>
#include <asm/debugreg.h>

#include "../irq/irq.h"
#include "../mmu/mmu.h"
#include "../x86/x86.h"
#include "vmx.h"

#define VMX_PAT_RESET	0x0007040600070406ULL	/* SDM 11.12.4 */
#define VMX_LINK_NONE	(~0ULL)			/* no shadow VMCS, 24.4.2 */
#define VMX_NR_VPIDS	0x10000

/* What counts as spinning: PAUSEs at most so many cycles apart, for so many cycles (24.6.13). */
#define VMX_SPIN_GAP	128
#define VMX_SPIN_WINDOW	4096

/* #DB and #AC so that a guest cannot keep the CPU delivering them for ever; #MC is the host's. */
#define VMX_EXCEPTIONS	(BIT(1) | BIT(6) | BIT(17) | BIT(18))

/* CR4 bits that change nothing hv has to know of. */
#define VMX_CR4_OWNED	(X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PGE | X86_CR4_PCE | \
			 X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_FSGSBASE)

/* MSRs the guest may use without an exit: they are in the VMCS, or switched with the inner loop. */
static const u32 vmx_direct_msrs[] = {
	MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
	MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
};

/* ---- virtual processor ids ----------------------------------------------------------------- */

static DECLARE_BITMAP(vmx_vpids, VMX_NR_VPIDS);
static DEFINE_SPINLOCK(vmx_vpid_lock);

/* 0 is the host's. */
static int vmx_vpid_get(struct vmx_vcpu *vmx)
{
	unsigned int vpid;

	spin_lock(&vmx_vpid_lock);
	vpid = find_next_zero_bit(vmx_vpids, VMX_NR_VPIDS, 1);
	if (vpid < VMX_NR_VPIDS)
		__set_bit(vpid, vmx_vpids);
	spin_unlock(&vmx_vpid_lock);
	if (vpid >= VMX_NR_VPIDS)
		return -EAGAIN;
	vmx->vpid = vpid;
	return 0;
}

static void vmx_vpid_put(struct vmx_vcpu *vmx)
{
	if (!vmx->vpid)
		return;
	spin_lock(&vmx_vpid_lock);
	__clear_bit(vmx->vpid, vmx_vpids);
	spin_unlock(&vmx_vpid_lock);
	vmx->vpid = 0;
}

/* ---- life ---------------------------------------------------------------------------------- */

void vmx_msr_intercept(struct vmx_vcpu *vmx, u32 msr, bool read, bool write)
{
	struct vmx_msr_bitmap *map = vmx->msr_bitmap;
	bool high = msr >= 0xc0000000;

	msr &= 0x1fff;
	__assign_bit(msr, (unsigned long *)(high ? map->read_high : map->read_low), read);
	__assign_bit(msr, (unsigned long *)(high ? map->write_high : map->write_low), write);
}

int vmx_vcpu_init(struct hv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct vmx_region *region;
	unsigned int i;
	int r;

	vmx->loaded_cpu = -1;
	INIT_LIST_HEAD(&vmx->loaded_link);
	vmx->vmcs = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	vmx->msr_bitmap = (void *)__get_free_page(GFP_KERNEL_ACCOUNT);
	if (!vmx->vmcs || !vmx->msr_bitmap)
		return -ENOMEM;
	region = page_address(vmx->vmcs);
	region->revision = vmx_caps.revision;
	memset(vmx->msr_bitmap, 0xff, sizeof(*vmx->msr_bitmap));
	for (i = 0; i < ARRAY_SIZE(vmx_direct_msrs); i++)
		vmx_msr_intercept(vmx, vmx_direct_msrs[i], false, false);
	vmx_msr_intercept(vmx, MSR_IA32_TSC, false, true);	/* the offset is applied (25.3) */
	r = vmx_vpid_get(vmx);
	if (!r)
		r = vmx_pml_init(vmx);
	return r ?: vmx_apic_init(vmx);
}

void vmx_vcpu_free(struct hv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (vmx->vmcs) {
		vmx_vmcs_unload(vmx);
		__free_page(vmx->vmcs);
	}
	vmx_cpu_forget(vcpu);
	free_page((unsigned long)vmx->msr_bitmap);
	vmx_pml_free(vmx);
	vmx_vpid_put(vmx);
}

/* ---- fields -------------------------------------------------------------------------------- */

static void vmx_host_init(void)
{
	vmx_write(VMX_HOST_CS, __KERNEL_CS);
	vmx_write(VMX_HOST_SS, __KERNEL_DS);
	/* An exit loads null selectors; inner_leave brings back what a 32-bit process had. */
	vmx_write(VMX_HOST_DS, 0);
	vmx_write(VMX_HOST_ES, 0);
	vmx_write(VMX_HOST_FS, 0);
	vmx_write(VMX_HOST_GS, 0);
	vmx_write(VMX_HOST_TR, GDT_ENTRY_TSS * 8);
	vmx_write(VMX_HOST_PAT, vmx_caps.host_pat);
	vmx_write(VMX_HOST_EFER, vmx_caps.host_efer);
	vmx_write(VMX_HOST_RIP, (u64)vmx_exit_point);
}

/* The tables of the address space the vCPU is in: SMM has its own. */
static void vmx_eptp_write(struct vmx_vcpu *vmx)
{
	const struct hv_tdp_format *tdp = &hv_ops.tdp;

	vmx->smm = vmx->vcpu.smm.active;
	vmx_write(VMX_EPT_POINTER, hv_mmu_root(vmx->vcpu.vm, vmx->smm) | VMX_EPTP_WB |
		  VMX_EPTP_LEVELS(tdp->levels) | (tdp->accessed ? VMX_EPTP_AD : 0));
	vmx->flush = true;
}

static void vmx_controls_init(struct vmx_vcpu *vmx)
{
	u32 exit = vmx_caps.exit & ~VMX_EXIT_CTL_PERF_GLOBAL;

	vmx->pin = vmx_caps.pin;
	vmx->cpu_ctls = vmx_caps.cpu & ~(VMX_CPU_INTR_WINDOW | VMX_CPU_NMI_WINDOW);
	vmx->cpu2_ctls = vmx_caps.cpu2 & ~VMX_CPU2_PML;
	vmx->entry_ctls = vmx_caps.entry & ~(VMX_ENTRY_CTL_IA32E | VMX_ENTRY_CTL_PERF_GLOBAL);
	/* With a LAPIC, CR8 is its TPR, which the CPU finds in the register page. */
	if (vmx->vcpu.lapic)
		vmx->cpu_ctls &= ~(VMX_CPU_CR8_LOAD | VMX_CPU_CR8_STORE);
	else
		vmx->cpu_ctls &= ~VMX_CPU_TPR_SHADOW;
	vmx_write(VMX_PIN_CONTROLS, vmx->pin);
	vmx_write(VMX_CPU_CONTROLS, vmx->cpu_ctls);
	vmx_write(VMX_CPU2_CONTROLS, vmx->cpu2_ctls);
	vmx_write(VMX_ENTRY_CONTROLS, vmx->entry_ctls);
	vmx_write(VMX_EXIT_CONTROLS, exit);

	vmx_write(VMX_VPID, vmx->vpid);
	vmx_eptp_write(vmx);
	vmx_write(VMX_MSR_BITMAP, __pa(vmx->msr_bitmap));
	if (vmx->vcpu.lapic)
		vmx_write(VMX_VIRTUAL_APIC_PAGE, __pa(hv_lapic_page(&vmx->vcpu)));
	if (vmx->vcpu.lapic && vmx_caps.apic_access)
		vmx_write(VMX_APIC_ACCESS_PAGE, hv_apic_page(vmx->vcpu.vm));
	vmx_write(VMX_TPR_THRESHOLD, 0);
	vmx_write(VMX_TSC_OFFSET, 0);
	vmx_write(VMX_CR0_MASK, ~VMX_CR0_OWNED);
	vmx_write(VMX_CR4_MASK, ~0ULL);
	vmx_write(VMX_PF_ERROR_MASK, 0);
	vmx_write(VMX_PF_ERROR_MATCH, 0);
	vmx_write(VMX_CR3_TARGET_COUNT, 0);
	vmx_write(VMX_EXIT_MSR_STORE_COUNT, 0);
	vmx_write(VMX_EXIT_MSR_LOAD_COUNT, 0);
	vmx_write(VMX_ENTRY_MSR_LOAD_COUNT, 0);
	vmx_write(VMX_EXIT_MSR_LOAD, __pa(vmx->host_list));
	vmx_write(VMX_ENTRY_MSR_LOAD, __pa(vmx->guest_list));
	vmx_write(VMX_ENTRY_INTR_INFO, 0);
	if (vmx->pml)
		vmx_write(VMX_PML_ADDRESS, page_to_phys(vmx->pml));
	vmx->pml_index = VMX_PML_STALE;
	if (vmx_caps.cpu2 & VMX_CPU2_PLE) {
		vmx_write(VMX_PLE_GAP, VMX_SPIN_GAP);
		vmx_write(VMX_PLE_WINDOW, VMX_SPIN_WINDOW);
	}
	if (vmx_caps.cpu2 & VMX_CPU2_NOTIFY)
		vmx_write(VMX_NOTIFY_WINDOW, vmx->vcpu.vm->notify_window);
	if (vmx_caps.cpu2 & VMX_CPU2_XSAVES)
		vmx_write(VMX_XSS_EXIT_BITMAP, 0);
	/* Neither SGX nor PCONFIG is offered: exit, for #UD. */
	if (vmx_caps.cpu2 & VMX_CPU2_ENCLS)
		vmx_write(VMX_ENCLS_EXIT_BITMAP, ~0ULL);
	if (vmx_caps.cpu2 & VMX_CPU2_ENCLV)
		vmx_write(VMX_ENCLV_EXIT_BITMAP, ~0ULL);
	if (vmx_caps.cpu2 & VMX_CPU2_PCONFIG)
		vmx_write(VMX_PCONFIG_EXIT_BITMAP, ~0ULL);
}

static void vmx_guest_init(struct vmx_vcpu *vmx, bool init)
{
	vmx_write(VMX_GUEST_LINK_POINTER, VMX_LINK_NONE);
	vmx_write(VMX_GUEST_DEBUGCTL, 0);
	vmx_write(VMX_GUEST_ACTIVITY, 0);
	vmx_write(VMX_GUEST_INTERRUPTIBILITY, 0);
	vmx_write(VMX_GUEST_PENDING_DEBUG, 0);
	vmx->blocking_valid = false;
	vmx->event_set = false;
	vmx->exit_reason = VMX_EXIT_EXTINT;
	vmx->pdptes_stale = false;
	if (init)
		return;
	vmx_write(VMX_GUEST_PAT, VMX_PAT_RESET);
	vmx_write(VMX_GUEST_SYSENTER_CS, 0);
	vmx_write(VMX_GUEST_SYSENTER_ESP, 0);
	vmx_write(VMX_GUEST_SYSENTER_EIP, 0);
	memset(vmx->syscall, 0, sizeof(vmx->syscall));
	vmx->cstar = 0;
	vmx->kernel_gs_base = 0;
}

void vmx_vcpu_reset(struct hv_vcpu *vcpu, bool init)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (!init) {
		vmx_host_init();
		vmx_controls_init(vmx);
	}
	vmx_guest_init(vmx, init);
	vmx_cpu_ctls_set(vmx, vmx->cpu_ctls & ~(VMX_CPU_INTR_WINDOW | VMX_CPU_NMI_WINDOW));
	vmx_umip_reset(vmx);
	vmx_write(VMX_ENTRY_INTR_INFO, 0);
	/* No value a register can have: the next entry writes them all. */
	vmx->hw_rflags = 0;
	vmx->hw_rip = ~vcpu->regs.rip;
	vmx->hw_rsp = ~vcpu->regs.gpr[HV_RSP];
	vmx->flush = true;
	vmx_update(vcpu);
}

/* ---- what follows CPUID, guest debug and the TSC offset -------------------------------------- */

static u32 vmx_cpu2_of(const struct vmx_vcpu *vmx)
{
	const struct hv_cpuid *cpuid = vmx->vcpu.cpuid;
	const struct kvm_cpuid_entry2 *seven = hv_cpuid_find(cpuid, 7, 0);
	const struct kvm_cpuid_entry2 *xsave = hv_cpuid_find(cpuid, 0xd, 1);
	u32 off = 0;

	/* Instructions that are undefined in the guest unless its CPUID has them. */
	if (!cpuid->has_rdtscp && !cpuid->has_rdpid)
		off |= VMX_CPU2_RDTSCP;
	if (!seven || !(seven->ebx & BIT(10)))
		off |= VMX_CPU2_INVPCID;
	if (!xsave || !(xsave->eax & BIT(3)))
		off |= VMX_CPU2_XSAVES;
	if (vmx->vcpu.vm->disabled_exits & KVM_X86_DISABLE_EXITS_PAUSE)
		off |= VMX_CPU2_PLE;
	if (!atomic_read(&vmx->vcpu.vm->nr_logging))
		off |= VMX_CPU2_PML;
	if (!READ_ONCE(vmx->vcpu.vm->bus_lock_exits))
		off |= VMX_CPU2_BUS_LOCK;
	if (!vmx->vcpu.vm->notify_flags)
		off |= VMX_CPU2_NOTIFY;
	return (vmx_caps.cpu2 & ~off) | vmx->apic_ctls | vmx_umip_ctl(vmx) |
	       (vmx->vcpu.pv.tsc_ratio ? VMX_CPU2_TSC_SCALING : 0);
}

/* Which MSRs go past us; with a filter of user space's, only those it allows. */
static void vmx_update_msrs(struct vmx_vcpu *vmx)
{
	const struct hv_vm *vm = vmx->vcpu.vm;
	unsigned int i;
	u32 index;

	if (!rcu_access_pointer(vm->msr_filter) && !vmx->msrs_filtered)
		return;
	vmx->msrs_filtered = true;
	for (i = 0; i < ARRAY_SIZE(vmx_direct_msrs); i++) {
		index = vmx_direct_msrs[i];
		vmx_msr_intercept(vmx, index, !hv_msr_allowed(vm, index, KVM_MSR_FILTER_READ),
				  !hv_msr_allowed(vm, index, KVM_MSR_FILTER_WRITE));
	}
	vmx_msr_intercept(vmx, MSR_IA32_TSC, !hv_msr_allowed(vm, MSR_IA32_TSC, KVM_MSR_FILTER_READ),
			  true);
}

/* KVM_CAP_X86_DISABLE_EXITS; PAUSE is among the secondary controls. */
static void vmx_update_exits(struct vmx_vcpu *vmx)
{
	u64 disabled = vmx->vcpu.vm->disabled_exits;
	u32 off = 0;

	if (disabled & KVM_X86_DISABLE_EXITS_HLT)
		off |= VMX_CPU_HLT;
	if (disabled & KVM_X86_DISABLE_EXITS_MWAIT)
		off |= VMX_CPU_MWAIT | VMX_CPU_MONITOR;
	if (vmx->cpu_ctls & off)
		vmx_cpu_ctls_set(vmx, vmx->cpu_ctls & ~off);
}

void vmx_update(struct hv_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 exceptions = VMX_EXCEPTIONS, cpu2;
	u64 owned = VMX_CR4_OWNED & ~vcpu->cpuid->cr4_reserved;

	if ((vcpu->guest_debug & KVM_GUESTDBG_ENABLE) &&
	    (vcpu->guest_debug & KVM_GUESTDBG_USE_SW_BP))
		exceptions |= BIT(3);
	if (vmx->exceptions != exceptions) {
		vmx->exceptions = exceptions;
		vmx_write(VMX_EXCEPTION_BITMAP, exceptions);
	}
	if (vmx->smm != vcpu->smm.active)
		vmx_eptp_write(vmx);
	vmx_update_msrs(vmx);
	vmx_update_exits(vmx);
	if (!vcpu->dr_loaded && vmx->dr_direct) {
		vmx->dr_direct = false;
		/* The host's handler expects DR6 as it leaves it. */
		set_debugreg(DR6_RESERVED, 6);
	}
	if (!vmx->dr_direct)
		vmx_cpu_ctls_set(vmx, vmx->cpu_ctls | VMX_CPU_MOV_DR);
	if (vcpu->lapic)
		vmx_apic_update(vmx);
	if (vmx->tsc_ratio != vcpu->pv.tsc_ratio) {
		vmx->tsc_ratio = vcpu->pv.tsc_ratio;
		vmx_write(VMX_TSC_MULTIPLIER, vmx->tsc_ratio);
	}
	cpu2 = vmx_cpu2_of(vmx);
	if (vmx->cpu2_ctls != cpu2) {
		vmx->cpu2_ctls = cpu2;
		vmx_write(VMX_CPU2_CONTROLS, cpu2);
	}
	if (vmx->tsc_offset != vcpu->pv.tsc_offset) {
		vmx->tsc_offset = vcpu->pv.tsc_offset;
		vmx_write(VMX_TSC_OFFSET, vmx->tsc_offset);
	}
	if (vmx->cr4_owned != owned) {
		/* The bits that move between the register and its shadow must agree. */
		hv_regs_need(vcpu, HV_REGS_CR);
		vmx->cr4_owned = owned;
		vmx_write(VMX_CR4_MASK, ~owned);
		hv_regs_dirty(vcpu, HV_REGS_CR);
	}
	vcpu->regs_dirty |= vcpu->regs_valid & HV_REGS_DR;
}

/* ---- dump ---------------------------------------------------------------------------------- */

static void vmx_dump_segment(const char *name, unsigned int n)
{
	pr_info("  %-4s sel %#06llx base %#018llx limit %#010llx access %#07llx\n", name,
		vmx_read(VMX_GUEST_SELECTOR(n)), vmx_read(VMX_GUEST_BASE(n)),
		vmx_read(VMX_GUEST_LIMIT(n)), vmx_read(VMX_GUEST_ACCESS(n)));
}

/* What an entry is refused for is in here; the caller limits the rate. */
void vmx_dump(struct vmx_vcpu *vmx)
{
	static const char *const names[] = { "ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR" };
	unsigned int i;

	pr_info("vCPU %u of %s/%d: VMCS\n", vmx->vcpu.id, current->comm, current->pid);
	pr_info("  exit reason %#llx qualification %#llx instruction error %llu\n",
		vmx_read(VMX_EXIT_REASON), vmx_read(VMX_EXIT_QUALIFICATION),
		vmx_read(VMX_INSN_ERROR));
	pr_info("  cr0 %#llx (shadow %#llx) cr3 %#llx cr4 %#llx (shadow %#llx) efer %#llx\n",
		vmx_read(VMX_GUEST_CR0), vmx_read(VMX_CR0_SHADOW), vmx_read(VMX_GUEST_CR3),
		vmx_read(VMX_GUEST_CR4), vmx_read(VMX_CR4_SHADOW), vmx_read(VMX_GUEST_EFER));
	pr_info("  rip %#llx rsp %#llx rflags %#llx dr7 %#llx\n", vmx_read(VMX_GUEST_RIP),
		vmx_read(VMX_GUEST_RSP), vmx_read(VMX_GUEST_RFLAGS), vmx_read(VMX_GUEST_DR7));
	for (i = 0; i < ARRAY_SIZE(names); i++)
		vmx_dump_segment(names[i], i);
	pr_info("  GDTR base %#llx limit %#llx IDTR base %#llx limit %#llx\n",
		vmx_read(VMX_GUEST_GDTR_BASE), vmx_read(VMX_GUEST_GDTR_LIMIT),
		vmx_read(VMX_GUEST_IDTR_BASE), vmx_read(VMX_GUEST_IDTR_LIMIT));
	pr_info("  interruptibility %#llx activity %#llx pending debug %#llx\n",
		vmx_read(VMX_GUEST_INTERRUPTIBILITY), vmx_read(VMX_GUEST_ACTIVITY),
		vmx_read(VMX_GUEST_PENDING_DEBUG));
	pr_info("  pdptes %#llx %#llx %#llx %#llx\n", vmx_read(VMX_GUEST_PDPTE(0)),
		vmx_read(VMX_GUEST_PDPTE(1)), vmx_read(VMX_GUEST_PDPTE(2)),
		vmx_read(VMX_GUEST_PDPTE(3)));
	pr_info("  controls: pin %#llx cpu %#llx cpu2 %#llx exit %#llx entry %#llx\n",
		vmx_read(VMX_PIN_CONTROLS), vmx_read(VMX_CPU_CONTROLS),
		vmx_read(VMX_CPU2_CONTROLS), vmx_read(VMX_EXIT_CONTROLS),
		vmx_read(VMX_ENTRY_CONTROLS));
	pr_info("  entry event %#llx error %#llx length %llu, IDT vectoring %#llx\n",
		vmx_read(VMX_ENTRY_INTR_INFO), vmx_read(VMX_ENTRY_EXCEPTION_ERROR),
		vmx_read(VMX_ENTRY_INSN_LEN), vmx_read(VMX_IDT_VECTORING_INFO));
	pr_info("  ept %#llx vpid %llu tsc offset %#llx\n", vmx_read(VMX_EPT_POINTER),
		vmx_read(VMX_VPID), vmx_read(VMX_TSC_OFFSET));
}
