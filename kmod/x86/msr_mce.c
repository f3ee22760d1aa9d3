// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's machine-check registers (SDM vol. 3, 15.3). Only user space reports errors in them.
 */
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "../irq/irq.h"
#include "msr_defs.h"
#include "x86.h"

#define HV_MCE_REGS	4	/* CTL, STATUS, ADDR, MISC of a bank */
#define HV_MCE_BANKS	32
#define HV_MCE_CTL2	(HV_MCE_BANKS * HV_MCE_REGS)	/* the banks' fifth ones */

static u32 hv_mce_banks(const struct hv_vcpu *vcpu)
{
	return vcpu->msrs.mcg_cap & HV_MCG_CAP_BANKS;
}

u64 hv_mce_supported(void)
{
	return HV_MCG_CAP_SUPPORTED |
	       (hv_ops.intel_mce ? HV_MCG_CAP_CMCI_P | HV_MCG_CAP_LMCE_P : 0);
}

bool hv_mce_has_cmci(const struct hv_vcpu *vcpu)
{
	return vcpu->msrs.mcg_cap & HV_MCG_CAP_CMCI_P;
}

/* What the guest may set in IA32_FEATURE_CONTROL, which is how its firmware turns LMCE on. */
static u64 hv_feature_control_valid(const struct hv_vcpu *vcpu, bool host)
{
	bool lmce = host || (vcpu->msrs.mcg_cap & HV_MCG_CAP_LMCE_P);

	return HV_FEAT_CTL_LOCKED | (lmce ? HV_FEAT_CTL_LMCE : 0);
}

/* IA32_FEATURE_CONTROL and IA32_MCG_EXT_CTL: a machine check may go to one processor only. */
static int hv_lmce_get(struct hv_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	const struct hv_msrs *m = &vcpu->msrs;

	if (!hv_ops.intel_mce)
		return -ENOENT;
	if (index == MSR_IA32_FEAT_CTL) {
		*value = m->feature_control;
		return 0;
	}
	*value = m->mcg_ext_ctl;
	return !host && !(m->feature_control & HV_FEAT_CTL_LMCE);
}

static int hv_lmce_set(struct hv_vcpu *vcpu, u32 index, u64 value, bool host)
{
	struct hv_msrs *m = &vcpu->msrs;

	if (!hv_ops.intel_mce)
		return -ENOENT;
	if (index == MSR_IA32_FEAT_CTL) {
		if ((value & ~hv_feature_control_valid(vcpu, host)) ||
		    (!host && (m->feature_control & HV_FEAT_CTL_LOCKED)))
			return 1;
		m->feature_control = value;
		return 0;
	}
	if ((!host && !(m->feature_control & HV_FEAT_CTL_LMCE)) ||
	    (value & ~HV_MCG_EXT_CTL_LMCE_EN))
		return 1;
	m->mcg_ext_ctl = value;
	return 0;
}

int hv_mce_get(struct hv_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	struct hv_msrs *m = &vcpu->msrs;

	switch (index) {
	case HV_MSR_P5_MC_ADDR:
	case HV_MSR_P5_MC_TYPE:
		*value = 0;
		return 0;
	case MSR_IA32_MCG_CAP:
		*value = m->mcg_cap;
		return 0;
	case MSR_IA32_MCG_CTL:
		if (!(m->mcg_cap & HV_MCG_CAP_CTL_P) && !host)
			return 1;
		*value = m->mcg_ctl;
		return 0;
	case MSR_IA32_MCG_STATUS:
		*value = m->mcg_status;
		return 0;
	case MSR_IA32_FEAT_CTL:
	case MSR_IA32_MCG_EXT_CTL:
		return hv_lmce_get(vcpu, index, value, host);
	case HV_MSR_MC0_CTL2 ... HV_MSR_MC0_CTL2 + HV_MCE_BANKS - 1:
		if (index - HV_MSR_MC0_CTL2 >= hv_mce_banks(vcpu) ||
		    (!hv_mce_has_cmci(vcpu) && !host))
			return 1;
		*value = m->mce_banks[HV_MCE_CTL2 + index - HV_MSR_MC0_CTL2];
		return 0;
	case HV_MSR_MC0_CTL ... HV_MSR_MC0_CTL + HV_MCE_BANKS * HV_MCE_REGS - 1:
		if (index - HV_MSR_MC0_CTL >= hv_mce_banks(vcpu) * HV_MCE_REGS)
			return 1;
		*value = m->mce_banks[index - HV_MSR_MC0_CTL];
		return 0;
	default:
		return -ENOENT;
	}
}

static int hv_mce_set_bank(struct hv_vcpu *vcpu, u32 nr, u64 value, bool host)
{
	struct hv_msrs *m = &vcpu->msrs;

	if (nr >= hv_mce_banks(vcpu) * HV_MCE_REGS)
		return 1;
	/*
	 * Control is all or nothing; guests clear bit 0 or 10 of bank 4 or 0 for old errata. STATUS
	 * takes 0 only, unless AMD's HWCR says otherwise.
	 */
	if (nr % HV_MCE_REGS == 0 && value && (value | BIT_ULL(10) | 1) != ~0ULL)
		return 1;
	if (nr % HV_MCE_REGS == 1 && value && !host && !(m->hwcr & HV_HWCR_MC_STATUS_WRITE))
		return 1;
	m->mce_banks[nr] = value;
	return 0;
}

static int hv_mce_set_ctl2(struct hv_vcpu *vcpu, u32 bank, u64 value, bool host)
{
	if (bank >= hv_mce_banks(vcpu) || (!hv_mce_has_cmci(vcpu) && (value || !host)) ||
	    (value & ~(HV_MCI_CTL2_CMCI_EN | HV_MCI_CTL2_THRESHOLD)))
		return 1;
	vcpu->msrs.mce_banks[HV_MCE_CTL2 + bank] = value;
	return 0;
}

int hv_mce_set(struct hv_vcpu *vcpu, u32 index, u64 value, bool host)
{
	struct hv_msrs *m = &vcpu->msrs;

	switch (index) {
	case MSR_IA32_MCG_STATUS:
		m->mcg_status = value;
		return 0;
	case MSR_IA32_FEAT_CTL:
	case MSR_IA32_MCG_EXT_CTL:
		return hv_lmce_set(vcpu, index, value, host);
	case MSR_IA32_MCG_CTL:
		if (!(m->mcg_cap & HV_MCG_CAP_CTL_P) && (value || !host))
			return 1;
		if (value && value != ~0ULL)
			return 1;
		m->mcg_ctl = value;
		return 0;
	case HV_MSR_MC0_CTL2 ... HV_MSR_MC0_CTL2 + HV_MCE_BANKS - 1:
		return hv_mce_set_ctl2(vcpu, index - HV_MSR_MC0_CTL2, value, host);
	case HV_MSR_MC0_CTL ... HV_MSR_MC0_CTL + HV_MCE_BANKS * HV_MCE_REGS - 1:
		return hv_mce_set_bank(vcpu, index - HV_MSR_MC0_CTL, value, host);
	default:
		return -ENOENT;
	}
}

int hv_mce_setup(struct hv_vcpu *vcpu, u64 mcg_cap)
{
	u32 banks = mcg_cap & HV_MCG_CAP_BANKS, i;

	if (!banks || banks > HV_MCE_BANKS ||
	    (mcg_cap & ~(hv_mce_supported() | HV_MCG_CAP_BANKS | HV_MCG_CAP_EXT_CNT)))
		return -EINVAL;
	vcpu->msrs.mcg_cap = mcg_cap;
	if (mcg_cap & HV_MCG_CAP_CTL_P)
		vcpu->msrs.mcg_ctl = ~0ULL;
	for (i = 0; i < banks; i++) {
		vcpu->msrs.mce_banks[i * HV_MCE_REGS] = ~0ULL;
		vcpu->msrs.mce_banks[HV_MCE_CTL2 + i] = 0;
	}
	hv_lapic_cmci_changed(vcpu);
	return 0;
}

/* Does the guest hear of uncorrected errors at all, and of this bank's? */
static bool hv_mce_reported(const struct hv_msrs *m, const u64 *bank)
{
	return (!(m->mcg_cap & HV_MCG_CAP_CTL_P) || m->mcg_ctl == ~0ULL) && bank[0] == ~0ULL;
}

/* A second error in a bank that the guest has not emptied: the more severe one stays. */
static void hv_mce_record(u64 *bank, const struct kvm_x86_mce *mce)
{
	bool uncorrected = mce->status & HV_MCI_STATUS_UC;
	u64 over = bank[1] & HV_MCI_STATUS_VAL ? HV_MCI_STATUS_OVER : 0;

	if (!uncorrected && over && (bank[1] & HV_MCI_STATUS_UC)) {
		bank[1] |= over;
		return;
	}
	bank[1] = mce->status | over;
	bank[2] = mce->addr;
	bank[3] = mce->misc;
}

/* The guest wants to hear of what its bank holds now, whoever has to act on it. */
static void hv_mce_signal(struct hv_vcpu *vcpu, u32 bank)
{
	if (hv_mce_has_cmci(vcpu) &&
	    (vcpu->msrs.mce_banks[HV_MCE_CTL2 + bank] & HV_MCI_CTL2_CMCI_EN))
		hv_lapic_cmci(vcpu);
}

int hv_mce_inject(struct hv_vcpu *vcpu, struct kvm_x86_mce *mce)
{
	struct hv_msrs *m = &vcpu->msrs;
	bool uncorrected = mce->status & HV_MCI_STATUS_UC;
	u64 *bank;
	u32 nr;

	if (mce->bank >= hv_mce_banks(vcpu) || !(mce->status & HV_MCI_STATUS_VAL))
		return -EINVAL;
	nr = array_index_nospec(mce->bank, HV_MCE_BANKS);
	bank = &m->mce_banks[nr * HV_MCE_REGS];
	if (!uncorrected) {
		hv_mce_record(bank, mce);
		hv_mce_signal(vcpu, nr);
		return 0;
	}
	/* Uncorrected, but nobody needs to act: logged, without an exception. */
	if (!mce->mcg_status &&
	    !(mce->status & (HV_MCI_STATUS_PCC | HV_MCI_STATUS_S | HV_MCI_STATUS_AR))) {
		bank[1] = mce->status;
		bank[2] = mce->addr;
		bank[3] = mce->misc;
		m->mcg_status = mce->mcg_status;
		hv_mce_signal(vcpu, nr);
		return 0;
	}
	if (!hv_mce_reported(m, bank))
		return 0;
	hv_regs_need(vcpu, HV_REGS_CR);
	/* The one before is still being handled, or nobody handles any: the CPU shuts down. */
	if ((m->mcg_status & HV_MCG_STATUS_MCIP) || !(vcpu->regs.cr4 & X86_CR4_MCE)) {
		hv_request(vcpu, HV_REQ_TRIPLE_FAULT);
		return 0;
	}
	hv_mce_record(bank, mce);
	m->mcg_status = mce->mcg_status;
	hv_queue_exception(vcpu, 18);
	return 0;
}

int hv_msr_vcpu_init(struct hv_vcpu *vcpu)
{
	vcpu->msrs.mce_banks = kcalloc(HV_MCE_CTL2 + HV_MCE_BANKS, sizeof(u64),
					GFP_KERNEL_ACCOUNT);
	if (!vcpu->msrs.mce_banks)
		return -ENOMEM;
	vcpu->msrs.mcg_cap = HV_MCE_BANKS;	/* until KVM_X86_SETUP_MCE */
	vcpu->msrs.poll_control = 1;
	return 0;
}

void hv_msr_vcpu_free(struct hv_vcpu *vcpu)
{
	kfree(vcpu->msrs.mce_banks);
	vcpu->msrs.mce_banks = NULL;
}
