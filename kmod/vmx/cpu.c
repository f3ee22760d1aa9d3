// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMX operation of the CPUs, and which VMCS is where.
 *
 * A CPU keeps what it likes of a VMCS in itself until VMCLEAR. So each CPU has a list of those that
 * were made current on it; before one is used elsewhere, or the CPU leaves VMX operation, it is
 * cleared there. The list is changed by its own CPU only, with interrupts off.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/io.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <asm/cpu_entry_area.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/perf_event.h>
#include <asm/tlbflush.h>
#include <asm/debugreg.h>

#include "../mmu/mmu.h"
#include "vmx.h"

struct vmx_cpu {
	struct page *vmxon;		/* what VMXON wants */
	struct list_head loaded;	/* struct vmx_vcpu.loaded_link */
	struct vmx_vcpu *current_vcpu;	/* whose VMCS is current */
	struct hv_vcpu *last;		/* whose branch predictions are in this CPU */
	bool enabled;
};

static DEFINE_PER_CPU(struct vmx_cpu, vmx_cpus);

/* ---- instructions ---------------------------------------------------------------------------- */

/* 0, or -EIO if the instruction failed or faulted. */
#define VMX_INSN(insn, operand)							\
({										\
	int __err = -EIO;							\
	u64 __pa = (operand);							\
	asm volatile("1: " insn " %1\n\tjna 2f\n\txorl %0, %0\n2:"		\
		     _ASM_EXTABLE(1b, 2b)					\
		     : "+r"(__err) : "m"(__pa) : "cc", "memory");		\
	__err;									\
})

static void vmx_invept(u64 type, u64 eptp)
{
	struct { u64 eptp, zero; } operand = { eptp, 0 };

	asm volatile("1: invept %0, %1\n2:" _ASM_EXTABLE(1b, 2b)
		     : : "m"(operand), "r"(type) : "cc", "memory");
}

static void vmx_invvpid_all(void)
{
	struct { u64 vpid, linear; } operand = {};

	if ((vmx_caps.ept_vpid & VMX_VPID_CAP_INVVPID) &&
	    (vmx_caps.ept_vpid & VMX_VPID_CAP_ALL))
		asm volatile("1: invvpid %0, %1\n2:" _ASM_EXTABLE(1b, 2b)
			     : : "m"(operand), "r"((u64)VMX_INVALIDATE_ALL) : "cc", "memory");
}

/*
 * All translations through the VM's EPT, of all its vCPUs, on this CPU. With EPT the CPU keeps none
 * that depend on the guest's own tables alone (28.4.1), so this is all there is.
 */
void vmx_flush(struct vmx_vcpu *vmx)
{
	vmx->flush = false;
	if (vmx_caps.ept_vpid & VMX_EPT_CAP_INVEPT_CONTEXT)
		vmx_invept(VMX_INVALIDATE_CONTEXT, vmx_read(VMX_EPT_POINTER));
	else
		vmx_invept(VMX_INVALIDATE_ALL, 0);
}

/* ---- on and off ------------------------------------------------------------------------------ */

int vmx_cpu_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct vmx_cpu *vc = per_cpu_ptr(&vmx_cpus, cpu);
		struct vmx_region *region;

		INIT_LIST_HEAD(&vc->loaded);
		vc->vmxon = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!vc->vmxon)
			return -ENOMEM;
		region = page_address(vc->vmxon);
		region->revision = vmx_caps.revision;
	}
	return 0;
}

void vmx_cpu_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct vmx_cpu *vc = per_cpu_ptr(&vmx_cpus, cpu);

		if (vc->vmxon)
			__free_page(vc->vmxon);
		vc->vmxon = NULL;
	}
}

int vmx_cpu_enable(void)
{
	struct vmx_cpu *vc = this_cpu_ptr(&vmx_cpus);
	u64 feature = 0;

	if (__read_cr4() & X86_CR4_VMXE)
		return -EBUSY;
	if (rdmsrl_safe(MSR_IA32_FEAT_CTL, &feature) ||
	    !(feature & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX))
		return -EIO;
	/* Processor trace may have to pause while VMX is on. */
	intel_pt_handle_vmx(1);
	cr4_set_bits(X86_CR4_VMXE);
	if (VMX_INSN("vmxon", page_to_phys(vc->vmxon))) {
		cr4_clear_bits(X86_CR4_VMXE);
		intel_pt_handle_vmx(0);
		return -EIO;
	}
	/* Whoever had VMX before may have used the same addresses and ids. */
	if (vmx_caps.ept_vpid & VMX_EPT_CAP_INVEPT_ALL)
		vmx_invept(VMX_INVALIDATE_ALL, 0);
	vmx_invvpid_all();
	vc->current_vcpu = NULL;
	vc->last = NULL;
	vc->enabled = true;
	return 0;
}

/* On the CPU that has it, interrupts off. */
static void vmx_vmcs_clear(struct vmx_vcpu *vmx)
{
	struct vmx_cpu *vc = this_cpu_ptr(&vmx_cpus);

	VMX_INSN("vmclear", page_to_phys(vmx->vmcs));
	vmx->world.launched = 0;
	if (vc->current_vcpu == vmx)
		vc->current_vcpu = NULL;
	list_del_init(&vmx->loaded_link);
	/* The VMCS is in memory now: whoever sees -1 may load it. */
	smp_store_release(&vmx->loaded_cpu, -1);
}

/* The vCPU dies: a later one at the same address must not pass for it. */
void vmx_cpu_forget(struct hv_vcpu *vcpu)
{
	int cpu;

	for_each_possible_cpu(cpu)
		cmpxchg(&per_cpu_ptr(&vmx_cpus, cpu)->last, vcpu, NULL);
}

void vmx_cpu_disable(void)
{
	struct vmx_cpu *vc = this_cpu_ptr(&vmx_cpus);
	struct vmx_vcpu *vmx, *next;

	if (!vc->enabled)
		return;
	vc->enabled = false;
	list_for_each_entry_safe(vmx, next, &vc->loaded, loaded_link)
		vmx_vmcs_clear(vmx);
	asm volatile("1: vmxoff\n2:" _ASM_EXTABLE(1b, 2b) : : : "cc", "memory");
	cr4_clear_bits(X86_CR4_VMXE);
	intel_pt_handle_vmx(0);
}

/* ---- a VMCS comes to a CPU and leaves it ----------------------------------------------------- */

static void vmx_vmcs_clear_ipi(void *arg)
{
	struct vmx_vcpu *vmx = arg;

	/* It may have gone on meanwhile: the CPU was taken offline. */
	if (vmx->loaded_cpu == smp_processor_id())
		vmx_vmcs_clear(vmx);
}

void vmx_vmcs_unload(struct vmx_vcpu *vmx)
{
	int cpu = smp_load_acquire(&vmx->loaded_cpu);

	if (cpu >= 0)
		smp_call_function_single(cpu, vmx_vmcs_clear_ipi, vmx, 1);
}

/* Host state that is constant as long as the vCPU stays on this CPU. */
static void vmx_host_set(struct vmx_vcpu *vmx, int cpu)
{
	struct desc_ptr idt;
	u64 value;

	vmx_write(VMX_HOST_CR0, read_cr0());
	vmx_write(VMX_HOST_TR_BASE, (u64)&get_cpu_entry_area(cpu)->tss.x86_tss);
	vmx_write(VMX_HOST_GDTR_BASE, (u64)get_cpu_gdt_ro(cpu));
	store_idt(&idt);
	vmx_write(VMX_HOST_IDTR_BASE, idt.address);
	rdmsrl(MSR_GS_BASE, value);
	vmx_write(VMX_HOST_GS_BASE, value);
	rdmsrl(MSR_IA32_SYSENTER_CS, value);
	vmx_write(VMX_HOST_SYSENTER_CS, value);
	rdmsrl(MSR_IA32_SYSENTER_ESP, value);
	vmx_write(VMX_HOST_SYSENTER_ESP, value);
	rdmsrl(MSR_IA32_SYSENTER_EIP, value);
	vmx_write(VMX_HOST_SYSENTER_EIP, value);
}

void vmx_vcpu_load(struct hv_vcpu *vcpu, int cpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct vmx_cpu *vc = per_cpu_ptr(&vmx_cpus, cpu);
	bool moved = vmx->loaded_cpu != cpu;
	unsigned long flags;

	if (moved)
		vmx_vmcs_unload(vmx);
	local_irq_save(flags);
	if (moved) {
		list_add(&vmx->loaded_link, &vc->loaded);
		vmx->loaded_cpu = cpu;
	}
	if (vc->current_vcpu != vmx) {
		vc->current_vcpu = vmx;
		VMX_INSN("vmptrld", page_to_phys(vmx->vmcs));
	}
	local_irq_restore(flags);
	if (moved) {
		vmx_host_set(vmx, cpu);
		/*
		 * This CPU may remember translations from when the vCPU, or one with its id, was
		 * here last.
		 */
		vmx->flush = true;
	}
	vmx->host.debugctl = get_debugctlmsr();
	if (READ_ONCE(vc->last) != vcpu) {
		WRITE_ONCE(vc->last, vcpu);
		/* Another guest's branch predictions must not steer this one. */
		indirect_branch_prediction_barrier();
	}
}
