// SPDX-License-Identifier: GPL-2.0-only
/*
 * EOI without an exit. When a vCPU is given an interrupt that is alone - nothing else in service,
 * nothing waiting, nobody to be told of its end - a bit is set in the guest's memory. The guest
 * clears it in place of writing EOI; if it finds it clear, it writes EOI.
 *
 * From then on (eoi_armed) the bit has to be looked at after each exit, before anything reads the
 * APIC: clear means that the guest is done with the interrupt. Should another one be waiting by
 * then, the bit is taken back, so that the EOI exits and the other one is delivered at once. Both
 * sides are on the same CPU, so plain reads and writes do.
 *
 * KVM's interface and Hyper-V's VP assist page are the same in this, but for who sets the address.
 */
#include <linux/log2.h>
#include <linux/mm.h>

#include "../irq/chips.h"
#include "x86.h"

#define HV_PV_EOI_BIT		BIT(0)		/* in the guest's memory */
#define HV_PV_EOI_ENABLED	1ULL		/* in the MSR */

int hv_pv_eoi_set_msr(struct hv_vcpu *vcpu, u64 value, bool may_sleep)
{
	u64 gpa = value & ~HV_PV_EOI_ENABLED;

	if (gpa & 3)
		return 1;
	if (vcpu->para.eoi_armed) {
		if (!may_sleep)
			return -EAGAIN;
		hv_pv_eoi_disarm(vcpu);
	}
	if ((value & HV_PV_EOI_ENABLED) &&
	    (!vcpu->lapic || !hv_slot_find(vcpu->vm, gpa >> PAGE_SHIFT)))
		return 1;
	vcpu->para.msr_eoi = value;
	vcpu->para.eoi_gpa = gpa;
	vcpu->para.eoi_on = value & HV_PV_EOI_ENABLED;
	return 0;
}

/* Does anybody besides the APIC want to hear of the end of this interrupt? */
static bool hv_pv_eoi_observed(struct hv_vcpu *vcpu, u8 vector)
{
	const struct hv_ioapic *ioapic = vcpu->vm->ioapic;

	if (hv_apic_set_test(vcpu->lapic, HV_APIC_TMR, vector) ||
	    (vcpu->hyperv && hv_synic_has_vector(vcpu, vector)))
		return true;
	return ioapic && test_bit(vector, ioapic->eoi_vectors);
}

void hv_pv_eoi_arm(struct hv_vcpu *vcpu, u8 vector)
{
	static const u8 flag = HV_PV_EOI_BIT;
	struct hv_lapic *l = vcpu->lapic;

	/* From the PIC it is not in service here, and needs no EOI here. */
	if (!l || hv_lapic_highest_isr(l) != vector || READ_ONCE(l->irr_words))
		return;
	if (!is_power_of_2(l->isr_words) ||
	    !is_power_of_2(hv_apic_read(l, HV_APIC_ISR + (vector >> 5) * 0x10)) ||
	    hv_pv_eoi_observed(vcpu, vector))
		return;
	if (!hv_guest_write_nofault(vcpu->vm, vcpu->para.eoi_gpa, &flag, sizeof(flag)))
		vcpu->para.eoi_armed = true;
}

/* Look at the bit, and take it back if @disarm. -EFAULT: not without sleeping. */
static int hv_pv_eoi_look(struct hv_vcpu *vcpu, bool disarm, bool may_sleep)
{
	int (*read)(struct hv_vm *, u64, void *, unsigned int) =
		may_sleep ? hv_guest_read : hv_guest_read_nofault;
	int (*write)(struct hv_vm *, u64, const void *, unsigned int) =
		may_sleep ? hv_guest_write : hv_guest_write_nofault;
	u64 gpa = vcpu->para.eoi_gpa;
	u8 flag;

	if (read(vcpu->vm, gpa, &flag, sizeof(flag)))
		return -EFAULT;
	if (!(flag & HV_PV_EOI_BIT)) {
		vcpu->para.eoi_armed = false;
		hv_lapic_eoi(vcpu->lapic);
		return 0;
	}
	if (!disarm)
		return 0;
	flag &= ~HV_PV_EOI_BIT;
	if (write(vcpu->vm, gpa, &flag, sizeof(flag)))
		return -EFAULT;
	vcpu->para.eoi_armed = false;
	return 0;
}

void hv_pv_eoi_exit(struct hv_vcpu *vcpu)
{
	if (hv_pv_eoi_look(vcpu, READ_ONCE(vcpu->lapic->irr_words), false))
		hv_request(vcpu, HV_REQ_PV_EOI);
}

void hv_pv_eoi_disarm(struct hv_vcpu *vcpu)
{
	if (!vcpu->para.eoi_armed)
		return;
	/* Memory that is not there any more: the guest cannot have used it. */
	if (hv_pv_eoi_look(vcpu, true, true))
		vcpu->para.eoi_armed = false;
}
