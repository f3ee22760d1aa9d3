// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's model-specific registers. One switch each for reading and writing; what has no switch
 * label is tried as a paravirtual one (KVM's, then Hyper-V's), as a memory-type or machine-check
 * register, then as one that only ever reads as a constant; the rest is #GP.
 *
 * Values and errors follow KVM's, since guests and user space are made for those.
 */
#include <linux/mm.h>
#include <asm/cpufeature.h>
#include <asm/kvm_para.h>
#include <asm/msr.h>
#include <asm/msr-index.h>

#include "../irq/irq.h"
#include "hyperv_defs.h"
#include "msr_defs.h"
#include "x86.h"

/* ---- rules --------------------------------------------------------------------------------- */

static bool hv_canonical(const struct hv_vcpu *vcpu, u64 la)
{
	unsigned int shift = vcpu->cpuid->has_la57 ? 7 : 16;

	return (u64)((s64)(la << shift) >> shift) == la;
}

static u32 hv_cpuid_word(const struct hv_vcpu *vcpu, u32 function, bool edx)
{
	const struct kvm_cpuid_entry2 *e = hv_cpuid_find(vcpu->cpuid, function, 0);

	return !e ? 0 : edx ? e->edx : e->ebx;
}

/* Either vendor's bits: IBRS, STIBP, SSBD (SDM vol. 2A, leaf 7; APM vol. 3, 8000_0008). */
static bool hv_has_spec_ctrl(const struct hv_vcpu *vcpu)
{
	return (hv_cpuid_word(vcpu, 7, true) & (BIT(26) | BIT(27) | BIT(31))) ||
	       (hv_cpuid_word(vcpu, 0x80000008, false) & (BIT(14) | BIT(15) | BIT(24) | BIT(28)));
}

static bool hv_has_ibpb(const struct hv_vcpu *vcpu)
{
	return (hv_cpuid_word(vcpu, 7, true) & BIT(26)) ||
	       (hv_cpuid_word(vcpu, 0x80000008, false) & BIT(12));
}

static bool hv_has_arch_capabilities(const struct hv_vcpu *vcpu)
{
	return hv_cpuid_word(vcpu, 7, true) & BIT(29);
}

static bool hv_has_tsc_aux(const struct hv_vcpu *vcpu)
{
	return vcpu->cpuid->has_rdtscp || vcpu->cpuid->has_rdpid;
}

static bool hv_has_xss(const struct hv_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *e = hv_cpuid_find(vcpu->cpuid, 0xd, 1);

	return e && (e->eax & BIT(3));
}

/* ---- registers that always read the same --------------------------------------------------- */

/*
 * What firmware and operating systems read or write without need. Writes are dropped where
 * @writable says so: the value is as good as any other.
 */
static const struct hv_msr_constant {
	u32 first, last;
	u64 value;
	bool writable;
} hv_msr_constants[] = {
	{ HV_MSR_PLATFORM_ID, HV_MSR_PLATFORM_ID, 0, false },
	{ HV_MSR_EBL_CR_POWERON, HV_MSR_EBL_CR_POWERON, 0, false },
	{ HV_MSR_EBC_FREQUENCY_ID, HV_MSR_EBC_FREQUENCY_ID, 1 << 24, false },
	{ 0xc1, 0xc2, 0, true },				/* P6 counters */
	{ HV_MSR_FSB_FREQ, HV_MSR_FSB_FREQ, 3, false },		/* 100 MHz */
	{ HV_MSR_BBL_CR_CTL3, HV_MSR_BBL_CR_CTL3, 0xbe702111, true },
	{ 0x186, 0x187, 0, true },				/* P6 event selectors */
	{ HV_MSR_PERF_STATUS, HV_MSR_PERF_STATUS, 1000ULL | 4ULL << 40, false },
	{ HV_MSR_PERF_CTL, HV_MSR_PERF_CTL, 0, false },
	{ 0x1db, 0x1de, 0, false },				/* last branch, last interrupt */
	{ HV_MSR_POWER_CTL, HV_MSR_POWER_CTL, 0, true },
	{ 0x606, 0x606, 0, false },				/* RAPL: no energy counted */
	{ 0x611, 0x611, 0, false },
	{ 0x619, 0x619, 0, false },
	{ 0x639, 0x639, 0, false },
	{ 0x641, 0x641, 0, false },
	{ 0xc0010000, 0xc0010007, 0, true },			/* K7 counters */
	{ 0xc0010010, 0xc0010010, 0, false },			/* SYSCFG */
	{ 0xc001001f, 0xc001001f, 0, true },			/* NB_CFG */
	{ 0xc0010055, 0xc0010055, 0, false },			/* interrupt pending message */
	{ 0xc0010058, 0xc0010058, 0, false },			/* MMIO configuration base */
	{ 0xc0010112, 0xc0010113, 0, false },			/* TSEG base, mask */
	{ 0xc0010117, 0xc0010117, 0, true },			/* VM_HSAVE_PA */
	{ 0xc0010140, 0xc0010140, 3, false },			/* OSVW: three errata known... */
	{ 0xc0010141, 0xc0010141, 0, false },			/* ...and none present */
	{ 0xc0011022, 0xc0011023, 0, true },			/* DC_CFG, BU_CFG */
	{ 0xc001102a, 0xc001102a, 0, true },			/* BU_CFG2 */
	{ 0xc001102c, 0xc001102c, 0, true },			/* EX_CFG */
};

static const struct hv_msr_constant *hv_msr_constant(u32 index)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(hv_msr_constants); i++)
		if (index >= hv_msr_constants[i].first && index <= hv_msr_constants[i].last)
			return &hv_msr_constants[i];
	return NULL;
}

static int hv_msr_get_rest(struct hv_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	const struct hv_msr_constant *c;
	int r = hv_pv_msr_get(vcpu, index, value, host);

	if (r == -ENOENT)
		r = hv_hyperv_msr_get(vcpu, index, value, host);
	if (r == -ENOENT)
		r = hv_mtrr_get(vcpu, index, value);
	if (r == -ENOENT)
		r = hv_mce_get(vcpu, index, value, host);
	if (r != -ENOENT)
		return r;
	c = hv_msr_constant(index);
	if (!c)
		return HV_MSR_UNKNOWN;
	*value = c->value;
	return 0;
}

static int hv_msr_set_rest(struct hv_vcpu *vcpu, u32 index, u64 value, bool host, bool may_sleep)
{
	const struct hv_msr_constant *c;
	int r = hv_xen_msr_set(vcpu, index, value, host, may_sleep);

	/* User space gives Xen's its number, which may be one of another interface's. */
	if (r == -ENOENT)
		r = hv_pv_msr_set(vcpu, index, value, host, may_sleep);
	if (r == -ENOENT)
		r = hv_hyperv_msr_set(vcpu, index, value, host, may_sleep);
	if (r == -ENOENT)
		r = hv_mtrr_set(vcpu, index, value);
	if (r == -ENOENT)
		r = hv_mce_set(vcpu, index, value, host);
	if (r != -ENOENT)
		return r;
	c = hv_msr_constant(index);
	if (!c)
		return HV_MSR_UNKNOWN;
	return !c->writable;
}

/* ---- reading ------------------------------------------------------------------------------- */

int hv_msr_get(struct hv_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	const struct hv_msrs *m = &vcpu->msrs;

	if (index - HV_MSR_X2APIC_FIRST < HV_MSR_X2APIC_COUNT)
		return vcpu->lapic ? hv_lapic_msr_get(vcpu, index, value) : 1;

	switch (index) {
	case MSR_IA32_APICBASE:
		*value = m->apic_base;
		return 0;
	case MSR_IA32_TSC:
		*value = hv_tsc_read(vcpu);
		return 0;
	case MSR_IA32_TSC_DEADLINE:
		*value = hv_lapic_get_tscdeadline(vcpu);
		return 0;
	case MSR_IA32_TSC_ADJUST:
		*value = m->ia32_tsc_adjust;
		return 0;
	case MSR_TSC_AUX:
		*value = m->tsc_aux;
		return !host && !hv_has_tsc_aux(vcpu);
	case MSR_EFER:
		hv_regs_need(vcpu, HV_REGS_CR);
		*value = vcpu->regs.efer;
		return 0;
	case MSR_STAR:
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_SYSCALL_MASK:
	case MSR_KERNEL_GS_BASE:
	case MSR_FS_BASE:
	case MSR_GS_BASE:
	case MSR_IA32_SYSENTER_CS:
	case MSR_IA32_SYSENTER_ESP:
	case MSR_IA32_SYSENTER_EIP:
	case MSR_IA32_CR_PAT:
		return hv_ops.msr_get(vcpu, index, value) != 0;
	case MSR_IA32_SPEC_CTRL:
		if (!host && !hv_has_spec_ctrl(vcpu))
			return 1;
		return hv_ops.msr_get(vcpu, index, value) != 0;
	case MSR_AMD64_VIRT_SPEC_CTRL:
		*value = m->virt_spec_ctrl;
		return !host;
	case MSR_IA32_DEBUGCTLMSR:
		*value = 0;
		return 0;
	case MSR_IA32_MISC_ENABLE:
		*value = m->misc_enable;
		return 0;
	case HV_MSR_UCODE_REV:
		*value = m->ucode_rev;
		return 0;
	case HV_MSR_SMBASE:
		*value = vcpu->smm.base;
		return !host;
	case HV_MSR_SMI_COUNT:
		*value = m->smi_count;
		return 0;
	case HV_MSR_PLATFORM_INFO:
		*value = m->platform_info;
		return !host && vcpu->vm->no_platform_info;
	case HV_MSR_ARCH_CAPABILITIES:
		*value = m->arch_capabilities;
		return !host && !hv_has_arch_capabilities(vcpu);
	case HV_MSR_MISC_FEATURES_ENABLES:
		*value = m->misc_features;
		return 0;
	case HV_MSR_XSS:
		*value = 0;
		return !host && !hv_has_xss(vcpu);
	case MSR_K7_HWCR:
		*value = m->hwcr;
		return 0;
	case MSR_AMD64_DE_CFG:
		return hv_msr_feature_get(index, value);
	default:
		return hv_msr_get_rest(vcpu, index, value, host);
	}
}

/* ---- writing ------------------------------------------------------------------------------- */

static int hv_msr_set_syscall(struct hv_vcpu *vcpu, u32 index, u64 value)
{
	switch (index) {
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_KERNEL_GS_BASE:
	case MSR_FS_BASE:
	case MSR_GS_BASE:
		if (!hv_canonical(vcpu, value))
			return 1;
		break;
	case MSR_IA32_SYSENTER_ESP:
	case MSR_IA32_SYSENTER_EIP:
		/* Intel faults on bad upper bits, AMD ignores all of them. */
		value = vcpu->cpuid->vendor_amd ? (u32)value : (u64)((s64)(value << 16) >> 16);
		break;
	case MSR_IA32_CR_PAT:
		if (!hv_pat_valid(value))
			return 1;
		break;
	}
	return hv_ops.msr_set(vcpu, index, value) != 0;
}

static int hv_msr_set_tsc_adjust(struct hv_vcpu *vcpu, u64 value, bool host)
{
	u64 change = value - vcpu->msrs.ia32_tsc_adjust;

	/* User space restores the TSC itself as well. */
	if (!host)
		hv_tsc_set_offset(vcpu, vcpu->pv.tsc_offset + change);
	vcpu->msrs.ia32_tsc_adjust = value;
	return 0;
}

static int hv_msr_set_tsc_aux(struct hv_vcpu *vcpu, u64 value, bool host)
{
	if (!host && !hv_has_tsc_aux(vcpu))
		return 1;
	if (value >> 32 && !vcpu->cpuid->vendor_amd)
		return 1;
	hv_fpu_set_tsc_aux(vcpu, (u32)value);
	return 0;
}

static int hv_msr_set_misc_enable(struct hv_vcpu *vcpu, u64 value, bool host)
{
	u64 fixed = HV_MISC_ENABLE_BTS_UNAVAIL | HV_MISC_ENABLE_PEBS_UNAVAIL;
	u64 old = vcpu->msrs.misc_enable;

	if (!host) {
		if ((old ^ value) & fixed)
			return 1;
		value = (value & ~HV_MISC_ENABLE_EMON) | (old & HV_MISC_ENABLE_EMON);
	}
	if (((old ^ value) & HV_MISC_ENABLE_MWAIT) &&
	    !hv_has_quirk(vcpu->vm, KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT)) {
		/* The bit exists on CPUs with SSE3 (SDM vol. 4, table 2-2). */
		const struct kvm_cpuid_entry2 *e = hv_cpuid_find(vcpu->cpuid, 1, 0);

		if (!e || !(e->ecx & BIT(0)))
			return 1;
	}
	vcpu->msrs.misc_enable = value;
	hv_cpuid_refresh(vcpu);
	return 0;
}

static int hv_msr_set_spec_ctrl(struct hv_vcpu *vcpu, u64 value, bool host)
{
	if ((!host && !hv_has_spec_ctrl(vcpu)) || (value & ~HV_SPEC_CTRL_DEFINED))
		return 1;
	if (value && !hv_caps.spec_ctrl)
		return 1;
	return hv_ops.msr_set(vcpu, MSR_IA32_SPEC_CTRL, value) != 0;
}

/* A command, not a register: only the barrier for indirect branches. */
static int hv_msr_set_pred_cmd(struct hv_vcpu *vcpu, u64 value, bool host)
{
	if ((!host && !hv_has_ibpb(vcpu)) || (value & ~PRED_CMD_IBPB))
		return 1;
	if (value && boot_cpu_has(X86_FEATURE_IBPB))
		wrmsrl(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
	return 0;
}

/* What says that CPUID faulting is there cannot go away under a guest that uses it. */
static int hv_msr_set_platform_info(struct hv_vcpu *vcpu, u64 value, bool host)
{
	if (!host || (!(value & HV_PLATFORM_INFO_CPUID_FAULT) && vcpu->msrs.misc_features))
		return 1;
	vcpu->msrs.platform_info = value;
	return 0;
}

static int hv_msr_set_hwcr(struct hv_vcpu *vcpu, u64 value)
{
	value &= ~(HV_HWCR_TLB_CACHE_DIS | HV_HWCR_FF_DIS | HV_HWCR_IGN_NE);
	if (value & ~(HV_HWCR_MC_STATUS_WRITE | HV_HWCR_TSC_FREQ_SEL))
		return 1;
	vcpu->msrs.hwcr = value;
	return 0;
}

static int hv_msr_set_apic_base(struct hv_vcpu *vcpu, u64 value, bool host)
{
	int r = hv_lapic_set_base(vcpu, value, host);

	if (!r)
		hv_cpuid_refresh(vcpu);
	return r;
}

int hv_msr_set(struct hv_vcpu *vcpu, u32 index, u64 value, bool host, bool may_sleep)
{
	struct hv_msrs *m = &vcpu->msrs;

	if (index - HV_MSR_X2APIC_FIRST < HV_MSR_X2APIC_COUNT)
		return vcpu->lapic ? hv_lapic_msr_set(vcpu, index, value) : 1;

	switch (index) {
	case MSR_IA32_TSC_DEADLINE:
		hv_lapic_set_tscdeadline(vcpu, value);
		return 0;
	case MSR_IA32_APICBASE:
		return hv_msr_set_apic_base(vcpu, value, host);
	case MSR_IA32_TSC:
		hv_tsc_write(vcpu, value, host);
		return 0;
	case MSR_IA32_TSC_ADJUST:
		return hv_msr_set_tsc_adjust(vcpu, value, host);
	case MSR_TSC_AUX:
		return hv_msr_set_tsc_aux(vcpu, value, host);
	case MSR_EFER:
		return hv_set_efer(vcpu, value, host);
	case MSR_STAR:
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_SYSCALL_MASK:
	case MSR_KERNEL_GS_BASE:
	case MSR_FS_BASE:
	case MSR_GS_BASE:
	case MSR_IA32_SYSENTER_CS:
	case MSR_IA32_SYSENTER_ESP:
	case MSR_IA32_SYSENTER_EIP:
	case MSR_IA32_CR_PAT:
		return hv_msr_set_syscall(vcpu, index, value);
	case MSR_IA32_SPEC_CTRL:
		return hv_msr_set_spec_ctrl(vcpu, value, host);
	case MSR_IA32_PRED_CMD:
		return hv_msr_set_pred_cmd(vcpu, value, host);
	case MSR_AMD64_VIRT_SPEC_CTRL:
		if (!host || (value & ~SPEC_CTRL_SSBD))
			return 1;
		m->virt_spec_ctrl = value;
		return 0;
	case MSR_IA32_DEBUGCTLMSR:
		/* Branch records are not kept: enabling them has no effect. */
		return (value & ~HV_DEBUGCTL_DEFINED) != 0;
	case MSR_IA32_MISC_ENABLE:
		return hv_msr_set_misc_enable(vcpu, value, host);
	case HV_MSR_UCODE_REV:
		if (host)
			m->ucode_rev = value;
		return 0;
	case HV_MSR_UCODE_WRITE:
	case MSR_AMD64_PATCH_LOADER:
		return 0;		/* there is no microcode to load */
	case HV_MSR_SMBASE:
		if (!host)
			return 1;
		vcpu->smm.base = value;
		return 0;
	case HV_MSR_SMI_COUNT:
		if (!host)
			return 1;
		m->smi_count = value;
		return 0;
	case HV_MSR_PLATFORM_INFO:
		return hv_msr_set_platform_info(vcpu, value, host);
	case HV_MSR_ARCH_CAPABILITIES:
		if (!host)
			return 1;
		m->arch_capabilities = value;
		return 0;
	case HV_MSR_MISC_FEATURES_ENABLES:
		if ((value & ~HV_MISC_FEATURES_CPUID_FAULT) ||
		    (value && !(m->platform_info & HV_PLATFORM_INFO_CPUID_FAULT)))
			return 1;
		m->misc_features = value;
		return 0;
	case HV_MSR_XSS:
		return (!host && !hv_has_xss(vcpu)) || value;
	case MSR_K7_HWCR:
		return hv_msr_set_hwcr(vcpu, value);
	case MSR_AMD64_DE_CFG:
		return (value & ~HV_DE_CFG_LFENCE_SERIALIZE) != 0;
	default:
		return hv_msr_set_rest(vcpu, index, value, host, may_sleep);
	}
}

/* ---- lists --------------------------------------------------------------------------------- */

static const u32 hv_msr_save_list[] = {
	MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
	MSR_STAR, MSR_CSTAR, MSR_KERNEL_GS_BASE, MSR_SYSCALL_MASK, MSR_LSTAR,
	MSR_IA32_TSC, MSR_IA32_CR_PAT, MSR_IA32_TSC_ADJUST, MSR_IA32_TSC_DEADLINE,
	MSR_IA32_MISC_ENABLE, MSR_IA32_MCG_STATUS, MSR_IA32_MCG_CTL, HV_MSR_SMBASE,
	HV_MSR_SMI_COUNT,
	HV_MSR_PLATFORM_INFO, HV_MSR_MISC_FEATURES_ENABLES, HV_MSR_ARCH_CAPABILITIES,
	HV_MSR_UCODE_REV, HV_MSR_POWER_CTL, MSR_K7_HWCR,
	HV_MSR_PV_WALL_CLOCK_OLD, HV_MSR_PV_SYSTEM_TIME_OLD, HV_MSR_PV_WALL_CLOCK,
	HV_MSR_PV_SYSTEM_TIME, HV_MSR_PV_STEAL_TIME, HV_MSR_PV_EOI, HV_MSR_PV_POLL_CONTROL,
	HV_MSR_PV_ASYNC_PF, HV_MSR_PV_ASYNC_PF_INT, HV_MSR_PV_ASYNC_PF_ACK,
	TLFS_MSR_GUEST_OS_ID, TLFS_MSR_HYPERCALL, TLFS_MSR_TIME_REF_COUNT,
	TLFS_MSR_REFERENCE_TSC, TLFS_MSR_TSC_FREQUENCY, TLFS_MSR_APIC_FREQUENCY,
	TLFS_MSR_CRASH_P0, TLFS_MSR_CRASH_P0 + 1, TLFS_MSR_CRASH_P0 + 2, TLFS_MSR_CRASH_P0 + 3,
	TLFS_MSR_CRASH_P4, TLFS_MSR_CRASH_CTL, TLFS_MSR_RESET, TLFS_MSR_VP_INDEX,
	TLFS_MSR_VP_RUNTIME, TLFS_MSR_SCONTROL, TLFS_MSR_STIMER0_CONFIG, TLFS_MSR_VP_ASSIST_PAGE,
	TLFS_MSR_REENLIGHTENMENT, TLFS_MSR_TSC_EMUL_CONTROL, TLFS_MSR_TSC_EMUL_STATUS,
	TLFS_MSR_TSC_INVARIANT, TLFS_MSR_SYNDBG_OPTIONS, TLFS_MSR_SYNDBG_CONTROL,
	TLFS_MSR_SYNDBG_STATUS, TLFS_MSR_SYNDBG_SEND, TLFS_MSR_SYNDBG_RECV,
	TLFS_MSR_SYNDBG_PENDING,
	/* Those below only where the host has them: hv_msr_module_init(). */
	MSR_TSC_AUX, MSR_IA32_SPEC_CTRL, MSR_IA32_FEAT_CTL, MSR_IA32_MCG_EXT_CTL,
};

static u32 hv_msr_listed[ARRAY_SIZE(hv_msr_save_list)];
static u32 hv_msr_nr_listed;

static const u32 hv_msr_features[] = {
	HV_MSR_UCODE_REV, HV_MSR_ARCH_CAPABILITIES, MSR_IA32_PERF_CAPABILITIES, MSR_AMD64_DE_CFG,
};

static u64 hv_ucode_rev = 0x01000065;
static u64 hv_arch_capabilities;

/* What the host is not affected by, its guests are not. */
static const struct {
	u32 bug;
	u64 bit;
} hv_bug_free[] = {
	{ X86_BUG_CPU_MELTDOWN, HV_ARCH_CAP_RDCL_NO },
	{ X86_BUG_SPEC_STORE_BYPASS, HV_ARCH_CAP_SSB_NO },
	{ X86_BUG_MDS, HV_ARCH_CAP_MDS_NO },
	{ X86_BUG_GDS, HV_ARCH_CAP_GDS_NO },
	{ X86_BUG_RFDS, HV_ARCH_CAP_RFDS_NO },
	{ X86_BUG_ITS, HV_ARCH_CAP_ITS_NO },
};

/*
 * What the CPU says of itself, as far as it is as true of a guest. Not: registers that hv does not
 * have, of which IA32_TSX_CTRL is one.
 */
#define HV_ARCH_CAP_PASSED (HV_ARCH_CAP_RDCL_NO | HV_ARCH_CAP_IBRS_ALL | HV_ARCH_CAP_RSBA |	\
			    HV_ARCH_CAP_SSB_NO | HV_ARCH_CAP_MDS_NO | HV_ARCH_CAP_TAA_NO |	\
			    HV_ARCH_CAP_SBDR_SSDP_NO | HV_ARCH_CAP_FBSDP_NO |			\
			    HV_ARCH_CAP_PSDP_NO | HV_ARCH_CAP_FB_CLEAR | HV_ARCH_CAP_RRSBA |	\
			    HV_ARCH_CAP_BHI_NO | HV_ARCH_CAP_PBRSB_NO | HV_ARCH_CAP_GDS_NO |	\
			    HV_ARCH_CAP_RFDS_NO | HV_ARCH_CAP_RFDS_CLEAR | HV_ARCH_CAP_ITS_NO)

static u64 hv_arch_capabilities_find(void)
{
	u64 caps = 0;
	unsigned int i;

	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		rdmsrl_safe(HV_MSR_ARCH_CAPABILITIES, &caps);
	caps &= HV_ARCH_CAP_PASSED;
	/*
	 * With second-level paging the guest's own page sizes cannot raise the machine check. And a
	 * guest has no guests of its own before which it would have to flush its L1 cache.
	 */
	caps |= HV_ARCH_CAP_PSCHANGE_MC_NO | HV_ARCH_CAP_SKIP_L1DFL;
	for (i = 0; i < ARRAY_SIZE(hv_bug_free); i++)
		if (!boot_cpu_has_bug(hv_bug_free[i].bug))
			caps |= hv_bug_free[i].bit;
	/* Without transactions nothing is asked of them. */
	if (!boot_cpu_has(X86_FEATURE_RTM))
		caps &= ~HV_ARCH_CAP_TAA_NO;
	else if (!boot_cpu_has_bug(X86_BUG_TAA))
		caps |= HV_ARCH_CAP_TAA_NO;
	return caps;
}

void hv_msr_module_init(void)
{
	unsigned int i;

	hv_msr_nr_listed = 0;
	for (i = 0; i < ARRAY_SIZE(hv_msr_save_list); i++) {
		u32 index = hv_msr_save_list[i];

		if (index == MSR_TSC_AUX && !hv_caps.rdtscp && !hv_caps.rdpid)
			continue;
		if (index == MSR_IA32_SPEC_CTRL && !hv_caps.spec_ctrl)
			continue;
		if ((index == MSR_IA32_FEAT_CTL || index == MSR_IA32_MCG_EXT_CTL) &&
		    !hv_ops.intel_mce)
			continue;
		hv_msr_listed[hv_msr_nr_listed++] = index;
	}
	rdmsrl_safe(HV_MSR_UCODE_REV, &hv_ucode_rev);
	hv_arch_capabilities = hv_arch_capabilities_find();
}

u32 hv_msr_list(const u32 **indices)
{
	*indices = hv_msr_listed;
	return hv_msr_nr_listed;
}

u32 hv_msr_feature_list(const u32 **indices)
{
	*indices = hv_msr_features;
	return ARRAY_SIZE(hv_msr_features);
}

int hv_msr_feature_get(u32 index, u64 *value)
{
	switch (index) {
	case HV_MSR_UCODE_REV:
		*value = hv_ucode_rev;
		return 0;
	case HV_MSR_ARCH_CAPABILITIES:
		*value = hv_arch_capabilities;
		return 0;
	case MSR_IA32_PERF_CAPABILITIES:
		*value = 0;		/* there is no PMU */
		return 0;
	case MSR_AMD64_DE_CFG:
		*value = boot_cpu_has(X86_FEATURE_LFENCE_RDTSC) ? HV_DE_CFG_LFENCE_SERIALIZE : 0;
		return 0;
	default:
		return 1;
	}
}

/* ---- reset --------------------------------------------------------------------------------- */

/* After the APIC's reset. INIT leaves nearly all MSRs alone (SDM vol. 3, table 10-1). */
void hv_msr_reset(struct hv_vcpu *vcpu, bool init)
{
	struct hv_msrs *m = &vcpu->msrs;

	if (!init) {
		m->misc_enable = HV_MISC_ENABLE_BTS_UNAVAIL | HV_MISC_ENABLE_PEBS_UNAVAIL;
		m->ucode_rev = boot_cpu_data.x86_vendor == X86_VENDOR_INTEL ? 0x100000000ULL :
									      0x01000065;
		m->arch_capabilities = hv_arch_capabilities;
		m->platform_info = HV_PLATFORM_INFO_CPUID_FAULT;
		m->misc_features = 0;
		m->tsc_aux = 0;
		m->ia32_tsc_adjust = 0;
		m->mtrr_def_type = 0;
		m->hwcr = 0;
		m->virt_spec_ctrl = 0;
	}
	hv_pv_reset(vcpu, init);
	hv_ops.msr_set(vcpu, MSR_IA32_SPEC_CTRL, 0);
	hv_cpuid_refresh(vcpu);
}
