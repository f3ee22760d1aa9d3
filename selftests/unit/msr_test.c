// SPDX-License-Identifier: GPL-2.0-or-later
/* The guest's MSRs: who may read and write what. */
#include "cpuid_msr_world.h"
#include "x86/cpuid_policy.h"
#include <asm/msr.h>
#include <asm/msr-index.h>
#include "x86/msr_defs.h"

#define GUEST false
#define USER true

static void start(void)
{
	cm_host_typical();
	cm_start();
	CHECK_EQ(cm_set_supported(), 0);
}

static int get(u32 index, u64 *value, bool host)
{
	*value = 0;
	return hv_msr_get(&cm_vcpu, index, value, host);
}

static int set(u32 index, u64 value, bool host)
{
	return hv_msr_set(&cm_vcpu, index, value, host, true);
}

/* Writes that must work and read back. */
static void keeps(u32 index, u64 value, bool host)
{
	u64 now = 0;

	if (set(index, value, host) || get(index, &now, host) || now != value) {
		printf("MSR %#x: wrote %#llx, reads %#llx\n", index, (unsigned long long)value,
		       (unsigned long long)now);
		test_failures++;
	}
}

static void test_unknown(void)
{
	static const u32 none[] = {
		0x2, 0x3a, 0x4f0, 0x48f, 0x600, 0x6ff, 0x4b564d08,
		0x4b564d09, 0xc0000104, 0xc0010114, 0xdeadbeef, ~0U,
	};
	unsigned int i;
	u64 v;

	start();
	for (i = 0; i < ARRAY_SIZE(none); i++) {
		CHECK_EQ(get(none[i], &v, GUEST), HV_MSR_UNKNOWN);
		CHECK_EQ(set(none[i], 0, GUEST), HV_MSR_UNKNOWN);
		CHECK_EQ(get(none[i], &v, USER), HV_MSR_UNKNOWN);
		CHECK_EQ(set(none[i], 0, USER), HV_MSR_UNKNOWN);
	}
	cm_stop();
}

/* All that is listed can be saved and restored, whatever the guest's CPUID has. */
static void test_list(void)
{
	const u32 *list;
	u32 n, i;
	u64 v;

	cm_host_typical();
	cm_start();
	n = hv_msr_list(&list);
	CHECK(n > 20);
	for (i = 0; i < n; i++) {
		CHECK_EQ(get(list[i], &v, USER), 0);
		CHECK_EQ(set(list[i], v, USER), 0);
	}
	n = hv_msr_feature_list(&list);
	for (i = 0; i < n; i++)
		CHECK_EQ(hv_msr_feature_get(list[i], &v), 0);
	CHECK_EQ(hv_msr_feature_get(0x10, &v), 1);
	cm_stop();
}

static void test_canonical(void)
{
	static const u32 la[] = {MSR_LSTAR, MSR_CSTAR, MSR_KERNEL_GS_BASE, MSR_FS_BASE,
	                         MSR_GS_BASE};
	unsigned int i;
	u64 v;

	start();
	cm_vcpu.cpuid->has_la57 = false;
	for (i = 0; i < ARRAY_SIZE(la); i++) {
		keeps(la[i], 0xffff800000000000, GUEST);
		keeps(la[i], 0x7fffffffffff, GUEST);
		CHECK_EQ(set(la[i], 0x800000000000, GUEST), 1);
		CHECK_EQ(set(la[i], 0x800000000000, USER), 1);
	}
	cm_vcpu.cpuid->has_la57 = true;
	keeps(MSR_LSTAR, 0x800000000000, GUEST);
	CHECK_EQ(set(MSR_LSTAR, 0x100000000000000, GUEST), 1);
	CHECK_EQ(set(MSR_IA32_SYSENTER_EIP, 0x123456789abcdef0, GUEST), 0);
	CHECK_EQ(get(MSR_IA32_SYSENTER_EIP, &v, GUEST), 0);
	CHECK_EQ(v, 0x9abcdef0);	/* AMD: 32 bits */
	keeps(MSR_STAR, ~0ULL, GUEST);
	cm_stop();
}

static void test_pat(void)
{
	start();
	keeps(MSR_IA32_CR_PAT, 0x0007040600070406, GUEST);
	keeps(MSR_IA32_CR_PAT, 0x0001040506070000, GUEST);
	CHECK_EQ(set(MSR_IA32_CR_PAT, 2, GUEST), 1);
	CHECK_EQ(set(MSR_IA32_CR_PAT, 3ULL << 56, GUEST), 1);
	CHECK_EQ(set(MSR_IA32_CR_PAT, 0x80, USER), 1);
	cm_stop();
}

static void test_mtrr(void)
{
	u64 v;

	start();
	CHECK_EQ(get(0xfe, &v, GUEST), 0);
	CHECK_EQ(v, 0x508);
	CHECK_EQ(set(0xfe, v, GUEST), 1);
	keeps(0x2ff, 0xc06, GUEST);
	CHECK_EQ(set(0x2ff, 0xc02, GUEST), 1);		/* no such type */
	CHECK_EQ(set(0x2ff, 0x1006, GUEST), 1);
	keeps(0x200, 0xc0000000 | 6, GUEST);
	keeps(0x201, 0xffc0000800, GUEST);
	CHECK_EQ(set(0x200, 0x10000000000, GUEST), 1);	/* beyond 40 bits */
	CHECK_EQ(set(0x200, 0x100, GUEST), 1);
	CHECK_EQ(set(0x201, 0x10000000800, GUEST), 1);
	CHECK_EQ(set(0x201, 0x801, GUEST), 1);
	keeps(0x20f, 0x800, GUEST);
	CHECK_EQ(get(0x210, &v, GUEST), HV_MSR_UNKNOWN);
	keeps(0x250, 0x0606060606060606, GUEST);
	keeps(0x26f, 0x0005040100000000, GUEST);
	CHECK_EQ(set(0x258, 0x02, GUEST), 1);
	CHECK_EQ(set(0x258, 7ULL << 32, GUEST), 1);
	cm_stop();
}

/* Corrected errors may interrupt, on CPUs that do so. */
static void test_cmci(void)
{
	const u64 cmci = 1 << 10, enable = 1 << 30;
	struct kvm_x86_mce mce = { .status = 1ULL << 63, .addr = 0x1000, .bank = 3 };
	u64 v;

	start();
	CHECK_EQ(hv_mce_supported() & cmci, 0);
	CHECK_EQ(hv_mce_setup(&cm_vcpu, cmci | 10), -EINVAL);
	CHECK_EQ(get(0x283, &v, GUEST), 1);
	CHECK_EQ(set(0x283, enable, USER), 1);
	CHECK_EQ(set(0x283, 0, USER), 0);

	hv_ops.intel_mce = true;
	CHECK_EQ(hv_mce_supported() & cmci, cmci);
	CHECK_EQ(hv_mce_setup(&cm_vcpu, cmci | 10), 0);
	keeps(0x283, enable | 0x7fff, GUEST);
	CHECK_EQ(set(0x283, enable << 1, GUEST), 1);
	CHECK_EQ(set(0x283, 1 << 15, USER), 1);
	CHECK_EQ(get(0x28a, &v, USER), 1);		/* there is no bank 10 */
	cm_cmcis = 0;
	CHECK_EQ(hv_mce_inject(&cm_vcpu, &mce), 0);
	CHECK_EQ(cm_cmcis, 1);
	mce.status |= 1ULL << 61;			/* uncorrected, no action required */
	CHECK_EQ(hv_mce_inject(&cm_vcpu, &mce), 0);
	CHECK_EQ(cm_cmcis, 2);
	CHECK_EQ(set(0x283, 0, GUEST), 0);
	CHECK_EQ(hv_mce_inject(&cm_vcpu, &mce), 0);
	CHECK_EQ(cm_cmcis, 2);
	/* A set-up takes it back. */
	CHECK_EQ(set(0x284, enable, GUEST), 0);
	CHECK_EQ(hv_mce_setup(&cm_vcpu, cmci | 10), 0);
	CHECK_EQ(get(0x284, &v, GUEST), 0);
	CHECK_EQ(v, 0);
	hv_ops.intel_mce = false;
	cm_stop();
}

/* A machine check may go to one processor only, where firmware and system have turned that on. */
static void test_lmce(void)
{
	const u64 lmce = 1ULL << 27, locked = 1, enable = 1ULL << 20;
	u64 v;

	start();
	CHECK_EQ(hv_mce_supported() & lmce, 0);
	CHECK_EQ(get(0x3a, &v, USER), HV_MSR_UNKNOWN);
	CHECK_EQ(set(0x4d0, 0, USER), HV_MSR_UNKNOWN);

	hv_ops.intel_mce = true;
	CHECK_EQ(hv_mce_supported() & lmce, lmce);
	CHECK_EQ(hv_mce_setup(&cm_vcpu, 10), 0);
	CHECK_EQ(get(0x3a, &v, GUEST), 0);
	CHECK_EQ(v, 0);
	CHECK_EQ(set(0x3a, enable, GUEST), 1);		/* this guest has no LMCE */
	CHECK_EQ(set(0x3a, 1 << 2, GUEST), 1);		/* nor VMX */
	CHECK_EQ(get(0x4d0, &v, GUEST), 1);
	CHECK_EQ(set(0x4d0, 0, GUEST), 1);
	CHECK_EQ(hv_mce_setup(&cm_vcpu, lmce | 10), 0);
	CHECK_EQ(set(0x4d0, 1, GUEST), 1);		/* not before the firmware */
	keeps(0x4d0, 1, USER);
	CHECK_EQ(set(0x4d0, 2, USER), 1);
	keeps(0x3a, enable, GUEST);
	keeps(0x4d0, 1, GUEST);
	CHECK_EQ(set(0x4d0, 3, GUEST), 1);
	keeps(0x3a, locked | enable, GUEST);
	CHECK_EQ(set(0x3a, locked | enable, GUEST), 1);
	keeps(0x4d0, 0, GUEST);
	keeps(0x3a, 0, USER);				/* a reset unlocks it */
	hv_ops.intel_mce = false;
	cm_stop();
}

/* What the host's CPU says goes to guests, but for registers that hv has not. */
static void test_arch_capabilities(void)
{
	u64 v;

	kshim_arch_capabilities = ~0ULL;
	start();
	CHECK_EQ(get(HV_MSR_ARCH_CAPABILITIES, &v, USER), 0);
	CHECK_EQ(v & HV_ARCH_CAP_IBRS_ALL, HV_ARCH_CAP_IBRS_ALL);
	CHECK_EQ(v & HV_ARCH_CAP_FB_CLEAR, HV_ARCH_CAP_FB_CLEAR);
	CHECK_EQ(v & HV_ARCH_CAP_BHI_NO, HV_ARCH_CAP_BHI_NO);
	CHECK_EQ(v & HV_ARCH_CAP_MDS_NO, HV_ARCH_CAP_MDS_NO);
	CHECK_EQ(v & HV_ARCH_CAP_TAA_NO, 0);		/* no transactions */
	CHECK_EQ(v & BIT_ULL(7), 0);			/* IA32_TSX_CTRL */
	CHECK_EQ(v & GENMASK_ULL(61, 29), 0);
	cm_stop();
	kshim_arch_capabilities = 0;
	start();
	CHECK_EQ(get(HV_MSR_ARCH_CAPABILITIES, &v, USER), 0);
	CHECK_EQ(v & HV_ARCH_CAP_IBRS_ALL, 0);
	cm_stop();
}

static void test_mce(void)
{
	u64 v;

	start();
	CHECK_EQ(hv_mce_setup(&cm_vcpu, 0), -EINVAL);
	CHECK_EQ(hv_mce_setup(&cm_vcpu, 33), -EINVAL);
	CHECK_EQ(hv_mce_setup(&cm_vcpu, 1ULL << 27 | 1), -EINVAL);
	CHECK_EQ(hv_mce_setup(&cm_vcpu, 1 << 24 | 1 << 8 | 10), 0);
	CHECK_EQ(get(MSR_IA32_MCG_CAP, &v, GUEST), 0);
	CHECK_EQ(v, 1 << 24 | 1 << 8 | 10);
	CHECK_EQ(set(MSR_IA32_MCG_CAP, 0, GUEST), HV_MSR_UNKNOWN);
	CHECK_EQ(get(0x400, &v, GUEST), 0);
	CHECK_EQ(v, ~0ULL);
	keeps(0x400, 0, GUEST);
	keeps(0x400, ~0ULL, GUEST);
	CHECK_EQ(set(0x400, 5, GUEST), 1);
	CHECK_EQ(set(0x401, 5, GUEST), 1);
	keeps(0x401, 5, USER);
	keeps(0x401, 0, GUEST);
	keeps(0x402, 0x1234, GUEST);
	CHECK_EQ(set(MSR_K7_HWCR, 1 << 18, GUEST), 0);
	keeps(0x401, 5, GUEST);
	keeps(0x427, 1, GUEST);
	CHECK_EQ(get(0x428, &v, GUEST), 1);
	CHECK_EQ(set(0x428, 0, GUEST), 1);
	CHECK_EQ(get(0x47f, &v, USER), 1);
	CHECK_EQ(get(0x480, &v, USER), HV_MSR_UNKNOWN);
	keeps(MSR_IA32_MCG_STATUS, 5, GUEST);
	keeps(MSR_IA32_MCG_CTL, ~0ULL, GUEST);
	CHECK_EQ(set(MSR_IA32_MCG_CTL, 1, GUEST), 1);
	CHECK_EQ(get(0, &v, GUEST), 0);
	cm_stop();
}

static void test_speculation(void)
{
	struct kvm_cpuid_entry2 *e;
	u32 nr, i;
	u64 v;

	start();
	CHECK_EQ(get(MSR_IA32_SPEC_CTRL, &v, GUEST), 1);	/* this CPU has none */
	CHECK_EQ(set(MSR_IA32_SPEC_CTRL, 0, GUEST), 1);
	CHECK_EQ(set(MSR_IA32_PRED_CMD, 1, GUEST), 1);
	keeps(MSR_IA32_SPEC_CTRL, 1, USER);
	e = cm_supported(&nr);
	for (i = 0; i < nr; i++)
		if (e[i].function == 0x80000008)
			e[i].ebx |= 1 << 12 | 1 << 14 | 1 << 24;
	CHECK_EQ(hv_cpuid_set(&cm_vcpu, e, nr), 0);
	keeps(MSR_IA32_SPEC_CTRL, 5, GUEST);
	CHECK_EQ(set(MSR_IA32_SPEC_CTRL, 8, GUEST), 1);
	kshim_wrmsr_index = 0;
	CHECK_EQ(set(MSR_IA32_PRED_CMD, 0, GUEST), 0);
	CHECK_EQ(kshim_wrmsr_index, 0);
	CHECK_EQ(set(MSR_IA32_PRED_CMD, 1, GUEST), 0);
	CHECK_EQ(kshim_wrmsr_index, MSR_IA32_PRED_CMD);
	CHECK_EQ(set(MSR_IA32_PRED_CMD, 2, GUEST), 1);
	CHECK_EQ(get(MSR_IA32_PRED_CMD, &v, GUEST), HV_MSR_UNKNOWN);
	hv_caps.spec_ctrl = false;
	CHECK_EQ(set(MSR_IA32_SPEC_CTRL, 1, USER), 1);
	CHECK_EQ(get(HV_MSR_ARCH_CAPABILITIES, &v, GUEST), 0);
	CHECK(v & HV_ARCH_CAP_RDCL_NO && !(v & HV_ARCH_CAP_MDS_NO));
	CHECK(v & HV_ARCH_CAP_SKIP_L1DFL);
	CHECK_EQ(set(HV_MSR_ARCH_CAPABILITIES, 0, GUEST), 1);
	keeps(HV_MSR_ARCH_CAPABILITIES, 0x21, USER);
	cm_stop();
}

static void test_misc_enable(void)
{
	u64 v;

	start();
	CHECK_EQ(get(MSR_IA32_MISC_ENABLE, &v, GUEST), 0);
	CHECK_EQ(v, 0x1800);
	keeps(MSR_IA32_MISC_ENABLE, 0x1801, GUEST);
	CHECK_EQ(set(MSR_IA32_MISC_ENABLE, 1, GUEST), 1);
	CHECK_EQ(set(MSR_IA32_MISC_ENABLE, 0x1881, GUEST), 0);
	CHECK_EQ(get(MSR_IA32_MISC_ENABLE, &v, GUEST), 0);
	CHECK_EQ(v, 0x1801);
	keeps(MSR_IA32_MISC_ENABLE, 1, USER);
	cm_stop();
}

static void test_tsc(void)
{
	u64 v;

	start();
	CHECK_EQ(set(MSR_IA32_TSC_ADJUST, 50, GUEST), 0);
	CHECK_EQ(cm_vcpu.pv.tsc_offset, 50);
	CHECK_EQ(set(MSR_IA32_TSC_ADJUST, 70, USER), 0);	/* restored: the TSC is, too */
	CHECK_EQ(cm_vcpu.pv.tsc_offset, 50);
	CHECK_EQ(get(MSR_IA32_TSC_ADJUST, &v, GUEST), 0);
	CHECK_EQ(v, 70);
	CHECK_EQ(set(MSR_IA32_TSC, 1234, GUEST), 0);
	CHECK_EQ(get(MSR_IA32_TSC, &v, GUEST), 0);
	CHECK_EQ(v, 1234);
	cm_stop();
}

static void test_tsc_aux(void)
{
	u64 v;

	start();
	CHECK_EQ(set(MSR_TSC_AUX, 0x123456789, GUEST), 0);	/* AMD drops the upper half */
	CHECK_EQ(get(MSR_TSC_AUX, &v, GUEST), 0);
	CHECK_EQ(v, 0x23456789);
	cm_vcpu.cpuid->has_rdtscp = cm_vcpu.cpuid->has_rdpid = false;
	CHECK_EQ(get(MSR_TSC_AUX, &v, GUEST), 1);
	CHECK_EQ(set(MSR_TSC_AUX, 0, GUEST), 1);
	keeps(MSR_TSC_AUX, 7, USER);
	cm_vcpu.cpuid->vendor_amd = false;
	CHECK_EQ(set(MSR_TSC_AUX, 0x100000000, USER), 1);
	cm_stop();
}

static void test_amd(void)
{
	u64 v;

	start();
	CHECK_EQ(set(MSR_K7_HWCR, 0x148, GUEST), 0);	/* bits without meaning here */
	CHECK_EQ(get(MSR_K7_HWCR, &v, GUEST), 0);
	CHECK_EQ(v, 0);
	keeps(MSR_K7_HWCR, 1 << 24, GUEST);
	CHECK_EQ(set(MSR_K7_HWCR, 1, GUEST), 1);
	CHECK_EQ(get(0xc0010010, &v, GUEST), 0);
	CHECK_EQ(v, 0);
	CHECK_EQ(set(0xc0010010, 0, GUEST), 1);
	CHECK_EQ(set(0xc001001f, ~0ULL, GUEST), 0);
	CHECK_EQ(get(0xc001001f, &v, GUEST), 0);
	CHECK_EQ(v, 0);
	CHECK_EQ(set(MSR_AMD64_DE_CFG, 2, GUEST), 0);
	CHECK_EQ(set(MSR_AMD64_DE_CFG, 1, GUEST), 1);
	CHECK_EQ(set(MSR_AMD64_PATCH_LOADER, 0x1000, GUEST), 0);
	CHECK_EQ(get(HV_MSR_UCODE_REV, &v, GUEST), 0);
	CHECK_EQ(v, 0x1000065);
	CHECK_EQ(set(HV_MSR_UCODE_REV, 5, GUEST), 0);	/* ignored */
	CHECK_EQ(get(HV_MSR_UCODE_REV, &v, GUEST), 0);
	CHECK_EQ(v, 0x1000065);
	keeps(HV_MSR_UCODE_REV, 5, USER);
	cm_stop();
}

static void test_efer(void)
{
	u64 v;

	start();
	keeps(MSR_EFER, EFER_SCE | EFER_NX, GUEST);
	CHECK_EQ(set(MSR_EFER, 1 << 12, GUEST), 1);		/* SVME */
	CHECK_EQ(set(MSR_EFER, 1ULL << 32, USER), 1);
	CHECK_EQ(set(MSR_EFER, EFER_LME | EFER_LMA, GUEST), 0);	/* LMA is the CPU's */
	CHECK_EQ(get(MSR_EFER, &v, GUEST), 0);
	CHECK_EQ(v, EFER_LME);
	cm_vcpu.regs.cr0 |= 0x80000001;
	CHECK_EQ(set(MSR_EFER, 0, GUEST), 1);		/* paging is on */
	cm_stop();
}

static void test_xss_and_debugctl(void)
{
	u64 v;

	start();
	CHECK_EQ(get(HV_MSR_XSS, &v, GUEST), 1);	/* no XSAVES in this CPU */
	CHECK_EQ(get(HV_MSR_XSS, &v, USER), 0);
	CHECK_EQ(set(HV_MSR_XSS, 0, USER), 0);
	CHECK_EQ(set(HV_MSR_XSS, 0x100, USER), 1);
	CHECK_EQ(set(MSR_IA32_DEBUGCTLMSR, 1, GUEST), 0);
	CHECK_EQ(get(MSR_IA32_DEBUGCTLMSR, &v, GUEST), 0);
	CHECK_EQ(v, 0);
	CHECK_EQ(set(MSR_IA32_DEBUGCTLMSR, 1 << 7, GUEST), 1);
	cm_stop();
}

static void test_pv(void)
{
	start();
	keeps(HV_MSR_PV_SYSTEM_TIME, 0x1001, GUEST);
	keeps(HV_MSR_PV_SYSTEM_TIME_OLD, 0x2001, GUEST);
	keeps(HV_MSR_PV_WALL_CLOCK, 0x3000, GUEST);
	/* Written at once, so not where sleeping is forbidden. */
	CHECK_EQ(hv_msr_set(&cm_vcpu, HV_MSR_PV_WALL_CLOCK, 0x4000, false, false), -EAGAIN);
	CHECK_EQ(cm_vm.msr_wall_clock, 0x3000);
	keeps(HV_MSR_PV_STEAL_TIME, 0x5001, GUEST);
	keeps(HV_MSR_PV_EOI, 0x6001, GUEST);
	keeps(HV_MSR_PV_POLL_CONTROL, 0, GUEST);
	CHECK_EQ(hv_msr_set(&cm_vcpu, HV_MSR_PV_POLL_CONTROL, 2, false, true), 1);
	keeps(HV_MSR_PV_ASYNC_PF, 0x7009, GUEST);
	keeps(HV_MSR_PV_ASYNC_PF_INT, 0xec, GUEST);
	cm_stop();
}

/* What CPUID does not offer the guest cannot use; user space reads 0 and may restore that. */
static void test_pv_enforced(void)
{
	static const u32 msrs[] = {
		HV_MSR_PV_SYSTEM_TIME, HV_MSR_PV_SYSTEM_TIME_OLD, HV_MSR_PV_WALL_CLOCK,
		HV_MSR_PV_WALL_CLOCK_OLD, HV_MSR_PV_STEAL_TIME, HV_MSR_PV_EOI,
		HV_MSR_PV_POLL_CONTROL, HV_MSR_PV_ASYNC_PF, HV_MSR_PV_ASYNC_PF_INT,
		HV_MSR_PV_ASYNC_PF_ACK,
	};
	unsigned int i;
	u64 v;

	start();
	cm_vcpu.para.enforce = true;
	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		cm_vcpu.cpuid->kvm_features = HV_PV_FEATURES;
		CHECK_EQ(hv_msr_get(&cm_vcpu, msrs[i], &v, false), 0);
		cm_vcpu.cpuid->kvm_features = 0;
		CHECK_EQ(hv_msr_get(&cm_vcpu, msrs[i], &v, false), HV_MSR_UNKNOWN);
		CHECK_EQ(hv_msr_set(&cm_vcpu, msrs[i], 0, false, true), HV_MSR_UNKNOWN);
		v = 1;
		CHECK_EQ(hv_msr_get(&cm_vcpu, msrs[i], &v, true), 0);
		CHECK_EQ(v, 0);
		CHECK_EQ(hv_msr_set(&cm_vcpu, msrs[i], 0, true, true), 0);
		CHECK_EQ(hv_msr_set(&cm_vcpu, msrs[i], 1, true, true), HV_MSR_UNKNOWN);
	}
	cm_vcpu.para.enforce = false;
	cm_stop();
}

static void test_reset(void)
{
	u64 v;

	start();
	keeps(MSR_TSC_AUX, 3, GUEST);
	keeps(0x2ff, 0x806, GUEST);
	keeps(HV_MSR_PV_SYSTEM_TIME, 0x1001, GUEST);
	hv_msr_reset(&cm_vcpu, true);
	CHECK_EQ(get(MSR_TSC_AUX, &v, GUEST), 0);
	CHECK_EQ(v, 3);
	CHECK_EQ(get(0x2ff, &v, GUEST), 0);
	CHECK_EQ(v, 0x806);
	hv_msr_reset(&cm_vcpu, false);
	CHECK_EQ(get(0x2ff, &v, GUEST), 0);
	CHECK_EQ(v, 0);
	CHECK_EQ(get(HV_MSR_PV_SYSTEM_TIME, &v, GUEST), 0);
	CHECK_EQ(v, 0);
	cm_stop();
}

/* Any number, any value: no crash, and what was refused has changed nothing that can be read. */
static void test_random(void)
{
	static const u32 bases[] = {
		0, 0x100, 0x200, 0x280, 0x400, 0x800, 0xd00, 0x4b564d00, 0xc0000080, 0xc0000100,
		0xc0010000, 0xc0010100, 0xc0011000,
	};
	unsigned int i;
	u64 before, after;

	start();
	srand(2);
	for (i = 0; i < 200000; i++) {
		u32 index = bases[rand() % ARRAY_SIZE(bases)] + rand() % 0x100;
		u64 value = (u64)rand() << 33 ^ (u64)rand() << 11 ^ rand();
		bool host = rand() & 1, readable;

		if (rand() & 1)
			value = rand() & 1 ? 0 : ~0ULL;
		if (index == MSR_EFER || index == 0x1b)
			continue;	/* tested above; they change what else is valid */
		readable = !get(index, &before, host);
		if (set(index, value, host) && readable) {
			CHECK_EQ(get(index, &after, host), 0);
			CHECK_EQ(after, before);
		}
	}
	cm_stop();
}

int main(void)
{
	static const struct cm_test tests[] = {
		{ "unknown", test_unknown },
		{ "list", test_list },
		{ "canonical", test_canonical },
		{ "pat", test_pat },
		{ "mtrr", test_mtrr },
		{ "mce", test_mce },
		{ "speculation", test_speculation },
		{ "misc_enable", test_misc_enable },
		{ "tsc", test_tsc },
		{ "tsc_aux", test_tsc_aux },
		{ "amd", test_amd },
		{ "efer", test_efer },
		{ "xss_and_debugctl", test_xss_and_debugctl },
		{ "cmci", test_cmci },
		{ "lmce", test_lmce },
		{ "arch_capabilities", test_arch_capabilities },
		{ "pv", test_pv },
		{ "pv_enforced", test_pv_enforced },
		{ "reset", test_reset },
		{ "random", test_random },
	};

	return cm_main(tests, ARRAY_SIZE(tests));
}
