// SPDX-License-Identifier: GPL-2.0-only
/*
 * APIC virtualization (SDM chapter 29): the CPU reads registers from the LAPIC's page, delivers
 * interrupts from its IRR, and ends them, without exits. In x2APIC mode it does so for MSRs, in
 * xAPIC mode for accesses that end in the APIC-access page (irq/apic_page.c). A CPU that knows that
 * page only reads and writes the TPR by itself, and exits for the other registers.
 *
 * Outside of the page the CPU keeps RVI and SVI, the highest vectors requested and in service, and
 * which EOIs exit. RVI is brought up to date at each entry, the rest by vmx_apic_update(), which
 * HV_REQ_APIC asks for.
 */
#include "../irq/irq.h"
#include "../irq/lapic_defs.h"
#include "../mmu/mmu.h"
#include "vmx.h"

#define VMX_X2APIC_MSR(reg)	(0x800 + ((reg) >> 4))
#define VMX_RVI			0xffu
#define VMX_SVI_SHIFT		8

/*
 * Registers the guest reads from the page. Not: the ICR, which is 64 bits wide and in two places of
 * the page; the timer's count, which nobody writes; those that x2APIC mode does not have.
 */
static const u16 vmx_direct_reads[] = {
	HV_APIC_ID, HV_APIC_VERSION, HV_APIC_TPR, HV_APIC_PPR, HV_APIC_LDR, HV_APIC_SPIV,
	HV_APIC_ESR, HV_APIC_LVT_TIMER, HV_APIC_LVT_THERMAL, HV_APIC_LVT_PERF, HV_APIC_LVT_LINT0,
	HV_APIC_LVT_LINT1, HV_APIC_LVT_ERROR, HV_APIC_TMICT, HV_APIC_TDCR,
};

static void vmx_apic_msrs(struct vmx_vcpu *vmx, bool on)
{
	unsigned int i;
	u32 reg;

	for (i = 0; i < ARRAY_SIZE(vmx_direct_reads); i++)
		vmx_msr_intercept(vmx, VMX_X2APIC_MSR(vmx_direct_reads[i]), !on, true);
	for (reg = HV_APIC_ISR; reg < HV_APIC_IRR + 8 * 0x10; reg += 0x10)
		vmx_msr_intercept(vmx, VMX_X2APIC_MSR(reg), !on, true);
	/* Writes that the CPU knows how to do (29.5). */
	vmx_msr_intercept(vmx, VMX_X2APIC_MSR(HV_APIC_TPR), !on, !on);
	vmx_msr_intercept(vmx, VMX_X2APIC_MSR(HV_APIC_EOI), true, !on);
	vmx_msr_intercept(vmx, VMX_X2APIC_MSR(HV_APIC_SELF_IPI), true, !on);
}

int vmx_apic_init(struct vmx_vcpu *vmx)
{
	struct hv_vm *vm = vmx->vcpu.vm;

	return vmx_caps.apic_access && hv_irqchip_in_kernel(vm) ? hv_apic_page_create(vm) : 0;
}

/* What the CPU can do for the LAPIC as it is. */
static u32 vmx_apic_ctls(const struct hv_vcpu *vcpu)
{
	u32 registers = VMX_CPU2_APIC_REGISTERS | VMX_CPU2_VIRTUAL_INTR;

	/* It would not keep interrupts out for a debugger. */
	if (!vmx_caps.apicv || (vcpu->guest_debug & KVM_GUESTDBG_BLOCKIRQ))
		registers = 0;
	/* It knows nothing of the SynIC. */
	if (vcpu->hyperv)
		return 0;
	if (hv_lapic_x2apic(vcpu))
		return registers ? VMX_CPU2_X2APIC | registers : 0;
	/* Nor does it tell of accesses to the TPR. */
	if (!vmx_caps.apic_access || !hv_lapic_at_default(vcpu) || vcpu->tpr_reporting ||
	    vcpu->vapic_addr)
		return 0;
	return VMX_CPU2_APIC_ACCESS | registers;
}

/* The mode, the sets or the vectors whose EOI matters may have changed. */
void vmx_apic_update(struct vmx_vcpu *vmx)
{
	struct hv_vcpu *vcpu = &vmx->vcpu;
	u32 ctls = vmx_apic_ctls(vcpu), changed = ctls ^ vmx->apic_ctls;
	u64 vectors[4];
	u8 irr, isr;
	unsigned int i;

	vmx->apic_ctls = ctls;
	vmx->apicv = ctls & VMX_CPU2_VIRTUAL_INTR;
	if (changed & VMX_CPU2_X2APIC)
		vmx_apic_msrs(vmx, ctls & VMX_CPU2_X2APIC);
	/* Translations say whether they end in the page: they do not outlast the control. */
	if (changed & VMX_CPU2_APIC_ACCESS)
		vmx->flush = true;
	hv_apic_page_use(vcpu, ctls & VMX_CPU2_APIC_ACCESS);
	hv_lapic_set_virtual(vcpu, vmx->apicv);
	if (!vmx->apicv)
		return;
	hv_lapic_tops(vcpu, &irr, &isr);
	vmx_write(VMX_GUEST_INTR_STATUS, isr << VMX_SVI_SHIFT | irr);
	hv_lapic_eoi_vectors(vcpu, vectors);
	for (i = 0; i < 4; i++)
		vmx_write(VMX_EOI_EXIT(i), vectors[i]);
}

/* Interrupts that were requested since the last entry. */
void vmx_apic_enter(struct vmx_vcpu *vmx)
{
	u32 status, rvi = hv_lapic_new_irr(&vmx->vcpu);

	/* When it has delivered one, the CPU itself finds the next, self-IPIs included. */
	if (!rvi)
		return;
	status = vmx_read(VMX_GUEST_INTR_STATUS);
	if ((status & VMX_RVI) < rvi)
		vmx_write(VMX_GUEST_INTR_STATUS, (status & ~VMX_RVI) | rvi);
}

/* The CPU has done its part, and the instruction is over. */
int vmx_exit_eoi(struct hv_vcpu *vcpu, bool may_sleep)
{
	hv_lapic_eoi_done(vcpu, vmx_read(VMX_EXIT_QUALIFICATION));
	return HV_NEXT_RESUME;
}

static int vmx_apic_delivery(struct hv_vcpu *vcpu, u64 q)
{
	u64 data[4] = { vmx_read(VMX_IDT_VECTORING_INFO), VMX_EXIT_APIC_ACCESS, q,
			HV_APIC_DEFAULT_BASE + (q & VMX_APICA_OFFSET) };

	return hv_internal_error(vcpu, KVM_INTERNAL_ERROR_DELIVERY_EV, 4, data);
}

/* An access to the page that the CPU left undone: a register or a size that it does not know. */
int vmx_exit_apic_access(struct hv_vcpu *vcpu, bool may_sleep)
{
	u64 q = vmx_read(VMX_EXIT_QUALIFICATION);
	u64 gpa = HV_APIC_DEFAULT_BASE + (q & VMX_APICA_OFFSET);

	switch (VMX_APICA_TYPE(q)) {
	case VMX_APICA_READ:
	case VMX_APICA_WRITE:
		return hv_emulate_mmio(vcpu, gpa, may_sleep);
	case VMX_APICA_DELIVERY:
	case VMX_APICA_PHYS_DELIVERY:
		/* The guest's stack or tables are in the APIC. */
		return vmx_apic_delivery(vcpu, q);
	case VMX_APICA_PHYS:
		return hv_emulate(vcpu, may_sleep);
	default:
		return hv_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, 0, NULL);
	}
}

/* After the instruction: what it wrote is in the page already. */
int vmx_exit_apic_write(struct hv_vcpu *vcpu, bool may_sleep)
{
	hv_lapic_written(vcpu, vmx_read(VMX_EXIT_QUALIFICATION) & VMX_APICA_OFFSET & ~0xfu);
	return HV_NEXT_RESUME;
}
