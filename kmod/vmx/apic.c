// SPDX-License-Identifier: GPL-2.0-only
/*
 * APIC virtualization (SDM chapter 29), for guests in x2APIC mode: the CPU reads registers from
 * the LAPIC's page, delivers interrupts from its IRR, and ends them, without exits. In xAPIC mode,
 * which systems leave early, the LAPIC is software as on CPUs without.
 *
 * Outside of the page the CPU keeps RVI and SVI, the highest vectors requested and in service, and
 * which EOIs exit. RVI is brought up to date at each entry, the rest by vmx_apic_update(), which
 * HV_REQ_APIC asks for.
 */
#include "../irq/irq.h"
#include "../irq/lapic_defs.h"
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

/* The mode, the sets or the vectors whose EOI matters may have changed. */
void vmx_apic_update(struct vmx_vcpu *vmx)
{
	struct hv_vcpu *vcpu = &vmx->vcpu;
	bool on = hv_lapic_x2apic(vcpu) && !vcpu->hyperv;
	u64 vectors[4];
	u8 irr, isr;
	unsigned int i;

	if (vmx->apicv != on) {
		vmx->apicv = on;
		hv_lapic_set_virtual(vcpu, on);
		vmx_apic_msrs(vmx, on);
	}
	if (!on)
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
