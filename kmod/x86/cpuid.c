// SPDX-License-Identifier: GPL-2.0-only
/*
 * CPUID of a vCPU: the table user space gave, what follows from it, and the CPUID instruction.
 *
 * Bits that follow other state (OSXSAVE, OSPKE, APIC, sizes in leaf 0xd) are written into the table
 * when that state changes, so that the instruction is one look-up.
 */
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <asm/apicdef.h>
#include <asm/cpufeature.h>
#include <asm/msr-index.h>
#include <asm/processor.h>
#include <asm/processor-flags.h>

#include "../trace.h"
#include "cpuid_policy.h"
#include "hyperv_defs.h"
#include "msr_defs.h"
#include "x86.h"
#include "xen_defs.h"
#include "xstate_defs.h"

static struct hv_cpuid_host hv_host;
static u32 hv_host_leaf_d[HV_XCR0_COMPONENTS][4];

/* ---- the host's CPUID ---------------------------------------------------------------------- */

/* Feature words that the kernel keeps in the CPU's own layout, less what it has turned off. */
static const struct {
	u32 function, index;
	u8 reg, word;
} hv_kernel_words[] = {
	{ 0x1, 0, HV_CPUID_EDX, CPUID_1_EDX },
	{ 0x1, 0, HV_CPUID_ECX, CPUID_1_ECX },
	{ 0x7, 0, HV_CPUID_EBX, CPUID_7_0_EBX },
	{ 0x7, 0, HV_CPUID_ECX, CPUID_7_ECX },
	{ 0x7, 0, HV_CPUID_EDX, CPUID_7_EDX },
	{ 0x7, 1, HV_CPUID_EAX, CPUID_7_1_EAX },
	{ 0xd, 1, HV_CPUID_EAX, CPUID_D_1_EAX },
	{ 0x80000001, 0, HV_CPUID_EDX, CPUID_8000_0001_EDX },
	{ 0x80000001, 0, HV_CPUID_ECX, CPUID_8000_0001_ECX },
	{ 0x80000008, 0, HV_CPUID_EBX, CPUID_8000_0008_EBX },
};

static void hv_host_read(u32 function, u32 index, u32 reg[4])
{
	unsigned int i;

	if (function == 0xd && index >= 2 && index < HV_XCR0_COMPONENTS) {
		memcpy(reg, hv_host_leaf_d[index], sizeof(hv_host_leaf_d[index]));
		return;
	}
	cpuid_count(function, index, &reg[0], &reg[1], &reg[2], &reg[3]);
	for (i = 0; i < ARRAY_SIZE(hv_kernel_words); i++)
		if (hv_kernel_words[i].function == function && hv_kernel_words[i].index == index)
			reg[hv_kernel_words[i].reg] &=
				boot_cpu_data.x86_capability[hv_kernel_words[i].word];
}

/* ---- looking up ---------------------------------------------------------------------------- */

static const struct kvm_cpuid_entry2 *hv_cpuid_from(const struct hv_cpuid *cpuid, u32 from,
						    u32 function, u32 index)
{
	u32 i;

	for (i = from; i < cpuid->nr; i++) {
		const struct kvm_cpuid_entry2 *e = &cpuid->entry[i];

		if (e->function == function &&
		    (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == index))
			return e;
	}
	return NULL;
}

const struct kvm_cpuid_entry2 *hv_cpuid_find(const struct hv_cpuid *cpuid, u32 function, u32 index)
{
	u32 nr = function & ~HV_CPUID_EXT_BASE, from = 0;

	if (nr < HV_CPUID_DIRECT) {
		from = function & HV_CPUID_EXT_BASE ? cpuid->extended[nr] : cpuid->basic[nr];
		if (!from)
			return NULL;
		from--;
	}
	return hv_cpuid_from(cpuid, from, function, index);
}

/*
 * What a leaf that the table lacks reads as (SDM vol. 2A, CPUID): zero inside of its range and on
 * AMD; beyond the range's maximum the highest basic leaf.
 */
static const struct kvm_cpuid_entry2 *hv_cpuid_beyond(const struct hv_cpuid *cpuid, u32 function,
						      u32 index)
{
	const struct kvm_cpuid_entry2 *basic, *range;

	basic = hv_cpuid_find(cpuid, 0, 0);
	if (!basic || cpuid->vendor_amd)
		return NULL;
	if (function >= 0x40000000 && function <= 0x4fffffff)
		range = hv_cpuid_find(cpuid, function & 0xffffff00, 0);
	else if (function >= 0xc0000000)
		range = hv_cpuid_find(cpuid, 0xc0000000, 0);
	else
		range = hv_cpuid_find(cpuid, function & HV_CPUID_EXT_BASE, 0);
	if (range && function <= range->eax)
		return NULL;
	return hv_cpuid_find(cpuid, basic->eax, index);
}

void hv_cpuid_query(struct hv_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	const struct hv_cpuid *cpuid = vcpu->cpuid;
	u32 function = *eax, index = *ecx;
	const struct kvm_cpuid_entry2 *e = hv_cpuid_find(cpuid, function, index);

	if (unlikely(!e)) {
		*eax = *ebx = *ecx = *edx = 0;
		if (function == 0xb || function == 0x1f) {
			/*
			 * Past the last level of topology: the sub-leaf and the x2APIC id remain.
			 */
			e = hv_cpuid_find(cpuid, function, 1);
			if (e) {
				*ecx = index & 0xff;
				*edx = e->edx;
			}
			goto out;
		}
		e = hv_cpuid_beyond(cpuid, function, index);
		if (!e)
			goto out;
	}
	*eax = e->eax;
	*ebx = e->ebx;
	*ecx = e->ecx;
	*edx = e->edx;
	if (unlikely(function == 0x80000007) && hv_hyperv_hides_invariant_tsc(vcpu))
		*edx &= ~TLFS_INVARIANT_TSC_BIT;
out:
	trace_hv_cpuid(vcpu->id, function, index, *eax, *ebx, *ecx, *edx);
}

/* ---- what follows from the table ----------------------------------------------------------- */

static u32 hv_leaf(const struct hv_cpuid *cpuid, u32 function, u32 index, enum hv_cpuid_reg reg)
{
	const struct kvm_cpuid_entry2 *e = hv_cpuid_find(cpuid, function, index);

	if (!e)
		return 0;
	switch (reg) {
	case HV_CPUID_EAX:	return e->eax;
	case HV_CPUID_EBX:	return e->ebx;
	case HV_CPUID_ECX:	return e->ecx;
	default:		return e->edx;
	}
}

#define HV_CR4_BASE	(X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE |	\
			 X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE | X86_CR4_PCE |		\
			 X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT)

static u64 hv_cr4_allowed(u32 c1, u32 b7, u32 c7)
{
	u64 cr4 = HV_CR4_BASE;

	if (c1 & BIT(26))
		cr4 |= X86_CR4_OSXSAVE;
	if (c1 & BIT(17))
		cr4 |= X86_CR4_PCIDE;
	if (b7 & BIT(0))
		cr4 |= X86_CR4_FSGSBASE;
	if (b7 & BIT(7))
		cr4 |= X86_CR4_SMEP;
	if (b7 & BIT(20))
		cr4 |= X86_CR4_SMAP;
	if (c7 & BIT(2))
		cr4 |= X86_CR4_UMIP;
	if (c7 & BIT(3))
		cr4 |= X86_CR4_PKE;
	if (c7 & BIT(16))
		cr4 |= X86_CR4_LA57;
	return cr4;
}

static u64 hv_efer_allowed(u32 d81, u32 a821)
{
	u64 efer = EFER_SCE;

	if (d81 & BIT(29))
		efer |= EFER_LME | EFER_LMA;
	if (d81 & BIT(20))
		efer |= EFER_NX;
	if (d81 & BIT(25))
		efer |= EFER_FFXSR;
	if (a821 & BIT(8))
		efer |= BIT_ULL(21);		/* automatic IBRS */
	return efer;
}

static bool hv_is_amd(const struct kvm_cpuid_entry2 *e)
{
	/* "AuthenticAMD", "HygonGenuine". */
	return e && ((e->ebx == 0x68747541 && e->edx == 0x69746e65 && e->ecx == 0x444d4163) ||
		     (e->ebx == 0x6f677948 && e->edx == 0x6e65476e && e->ecx == 0x656e6975));
}

static void hv_cpuid_index(struct hv_cpuid *cpuid)
{
	u32 i;

	for (i = cpuid->nr; i-- > 0; ) {
		u32 function = cpuid->entry[i].function, index = cpuid->entry[i].index;
		u32 nr = function & ~HV_CPUID_EXT_BASE;

		if (nr < HV_CPUID_DIRECT) {
			if (function & HV_CPUID_EXT_BASE)
				cpuid->extended[nr] = i + 1;
			else
				cpuid->basic[nr] = i + 1;
		}
		if (function == 1)
			cpuid->leaf_1 = i + 1;
		else if (function == 7 && !index)
			cpuid->leaf_7 = i + 1;
		else if (function == 0xd && index < 2)
			*(index ? &cpuid->leaf_d1 : &cpuid->leaf_d0) = i + 1;
	}
}

static void hv_cpuid_derive_features(struct hv_cpuid *cpuid)
{
	u32 d1 = hv_leaf(cpuid, 1, 0, HV_CPUID_EDX), c1 = hv_leaf(cpuid, 1, 0, HV_CPUID_ECX);
	u32 b7 = hv_leaf(cpuid, 7, 0, HV_CPUID_EBX), c7 = hv_leaf(cpuid, 7, 0, HV_CPUID_ECX);
	u32 d81 = hv_leaf(cpuid, 0x80000001, 0, HV_CPUID_EDX);

	cpuid->has_pat = d1 & BIT(16);
	cpuid->has_mtrr = d1 & BIT(12);
	cpuid->has_mce = d1 & BIT(7);
	cpuid->has_xsave = c1 & BIT(26);
	cpuid->has_x2apic = c1 & BIT(21);
	cpuid->has_tsc_deadline = c1 & BIT(24);
	cpuid->has_pcid = c1 & BIT(17);
	cpuid->has_vmx = c1 & BIT(5);
	cpuid->has_fsgsbase = b7 & BIT(0);
	cpuid->has_smep = b7 & BIT(7);
	cpuid->has_smap = b7 & BIT(20);
	cpuid->has_umip = c7 & BIT(2);
	cpuid->has_pku = c7 & BIT(3);
	cpuid->has_la57 = c7 & BIT(16);
	cpuid->has_rdpid = c7 & BIT(22);
	cpuid->has_rdtscp = d81 & BIT(27);
	cpuid->has_nx = d81 & BIT(20);
	cpuid->has_1g = d81 & BIT(26);
	cpuid->has_lm = d81 & BIT(29);
	cpuid->has_svm = hv_leaf(cpuid, 0x80000001, 0, HV_CPUID_ECX) & BIT(2);
}

/*
 * KVM's features are in the leaf after the one with its signature, wherever that is: another
 * interface, as Hyper-V's, may have taken the first place.
 */
static void hv_cpuid_find_pv(struct hv_cpuid *cpuid)
{
	const struct kvm_cpuid_entry2 *e;
	u32 base;

	for (base = HV_CPUID_PV_BASE; base < HV_CPUID_PV_LIMIT; base += HV_CPUID_PV_STEP) {
		e = hv_cpuid_find(cpuid, base, 0);
		if (!e || e->ebx != HV_CPUID_PV_EBX || e->ecx != HV_CPUID_PV_ECX ||
		    e->edx != HV_CPUID_PV_EDX)
			continue;
		e = hv_cpuid_find(cpuid, base + 1, 0);
		if (e) {
			cpuid->kvm_features = e->eax;
			cpuid->leaf_pv = e - cpuid->entry + 1;
		}
		return;
	}
}

static u16 hv_cpuid_place(const struct hv_cpuid *cpuid, u32 function, u32 index)
{
	const struct kvm_cpuid_entry2 *e = hv_cpuid_find(cpuid, function, index);

	return e ? e - cpuid->entry + 1 : 0;
}

/* Xen's, likewise: the leaf that says how fast time goes. */
static void hv_cpuid_find_xen(struct hv_cpuid *cpuid)
{
	const struct kvm_cpuid_entry2 *e;
	u32 base;

	for (base = HV_CPUID_PV_BASE; base < HV_CPUID_PV_LIMIT; base += HV_CPUID_PV_STEP) {
		e = hv_cpuid_find(cpuid, base, 0);
		if (!e || e->ebx != XEN_CPUID_EBX || e->ecx != XEN_CPUID_ECX ||
		    e->edx != XEN_CPUID_EDX)
			continue;
		cpuid->leaf_xen_rate = hv_cpuid_place(cpuid, base + XEN_CPUID_TIME, 1);
		cpuid->leaf_xen_khz = hv_cpuid_place(cpuid, base + XEN_CPUID_TIME, 2);
		return;
	}
}

/* Everything hot paths and register checks ask about. */
static void hv_cpuid_derive(struct hv_cpuid *cpuid)
{
	u32 c1, b7, c7, d81, a821;
	u64 cr4 = hv_caps.cr4, efer = hv_caps.efer;

	hv_cpuid_index(cpuid);
	hv_cpuid_derive_features(cpuid);
	cpuid->vendor_amd = hv_is_amd(hv_cpuid_find(cpuid, 0, 0));
	cpuid->maxphyaddr = hv_leaf(cpuid, 0x80000008, 0, HV_CPUID_EAX) & 0xff ?: 36;
	hv_cpuid_find_pv(cpuid);
	hv_cpuid_find_xen(cpuid);
	cpuid->has_kvmclock = cpuid->kvm_features & (HV_PV_CLOCKSOURCE | HV_PV_CLOCKSOURCE2);
	cpuid->has_steal = cpuid->kvm_features & HV_PV_STEAL_TIME;
	cpuid->has_hyperv = hv_leaf(cpuid, TLFS_CPUID_INTERFACE, 0, HV_CPUID_EAX) == TLFS_INTERFACE;
	if (cpuid->has_hyperv) {
		cpuid->hyperv_eax = hv_leaf(cpuid, TLFS_CPUID_FEATURES, 0, HV_CPUID_EAX);
		cpuid->hyperv_ebx = hv_leaf(cpuid, TLFS_CPUID_FEATURES, 0, HV_CPUID_EBX);
		cpuid->hyperv_edx = hv_leaf(cpuid, TLFS_CPUID_FEATURES, 0, HV_CPUID_EDX);
		cpuid->hyperv_hints = hv_leaf(cpuid, TLFS_CPUID_HINTS, 0, HV_CPUID_EAX);
		cpuid->hyperv_spins = hv_leaf(cpuid, TLFS_CPUID_HINTS, 0, HV_CPUID_EBX);
		cpuid->hyperv_debug = hv_leaf(cpuid, TLFS_CPUID_DEBUG_FEATURES, 0, HV_CPUID_EAX);
	}
	cpuid->xcr0 = hv_leaf(cpuid, 0xd, 0, HV_CPUID_EAX) |
		      (u64)hv_leaf(cpuid, 0xd, 0, HV_CPUID_EDX) << 32;
	cpuid->xcr0 &= hv_caps.xcr0;

	/* Before user space has chosen a CPU, it may set what the host could give. */
	if (cpuid->nr) {
		c1 = hv_leaf(cpuid, 1, 0, HV_CPUID_ECX);
		b7 = hv_leaf(cpuid, 7, 0, HV_CPUID_EBX);
		c7 = hv_leaf(cpuid, 7, 0, HV_CPUID_ECX);
		d81 = hv_leaf(cpuid, 0x80000001, 0, HV_CPUID_EDX);
		a821 = hv_leaf(cpuid, 0x80000021, 0, HV_CPUID_EAX);
		cr4 &= hv_cr4_allowed(c1, b7, c7);
		efer &= hv_efer_allowed(d81, a821);
	}
	cpuid->cr4_reserved = ~cr4;
	cpuid->efer_reserved = ~efer;
}

static void hv_bit(u32 *reg, unsigned int bit, bool on)
{
	if (on)
		*reg |= BIT(bit);
	else
		*reg &= ~BIT(bit);
}

static void hv_cpuid_refresh_xen(struct hv_vcpu *vcpu, struct hv_cpuid *cpuid)
{
	struct kvm_cpuid_entry2 *e;
	u32 mul;
	s8 shift;

	if (cpuid->leaf_xen_rate) {
		hv_clock_rate(vcpu, &mul, &shift);
		e = &cpuid->entry[cpuid->leaf_xen_rate - 1];
		e->ecx = mul;
		e->edx = shift;
	}
	if (cpuid->leaf_xen_khz)
		cpuid->entry[cpuid->leaf_xen_khz - 1].eax = vcpu->pv.tsc_khz;
}

static void hv_cpuid_refresh_table(struct hv_vcpu *vcpu, struct hv_cpuid *cpuid)
{
	struct kvm_cpuid_entry2 *e;
	u64 cr4;

	hv_regs_need(vcpu, HV_REGS_CR);
	cr4 = vcpu->regs.cr4;
	if (cpuid->leaf_1) {
		e = &cpuid->entry[cpuid->leaf_1 - 1];
		if (hv_caps.xcr0)
			hv_bit(&e->ecx, 27, cr4 & X86_CR4_OSXSAVE);
		hv_bit(&e->edx, 9, vcpu->msrs.apic_base & MSR_IA32_APICBASE_ENABLE);
		if (!hv_has_quirk(vcpu->vm, KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT))
			hv_bit(&e->ecx, 3, vcpu->msrs.misc_enable & HV_MISC_ENABLE_MWAIT);
	}
	/* Nobody can be kicked out of a HLT that does not exit. */
	if (cpuid->leaf_pv && (vcpu->vm->disabled_exits & KVM_X86_DISABLE_EXITS_HLT)) {
		cpuid->entry[cpuid->leaf_pv - 1].eax &= ~HV_PV_UNHALT;
		cpuid->kvm_features &= ~HV_PV_UNHALT;
	}
	if (cpuid->leaf_7 && hv_caps.pku)
		hv_bit(&cpuid->entry[cpuid->leaf_7 - 1].ecx, 4, cr4 & X86_CR4_PKE);
	if (cpuid->leaf_d0)
		cpuid->entry[cpuid->leaf_d0 - 1].ebx =
			hv_cpuid_xsave_size(&hv_host, vcpu->fpu.xcr0, false);
	if (cpuid->leaf_d1) {
		e = &cpuid->entry[cpuid->leaf_d1 - 1];
		if (e->eax & (BIT(1) | BIT(3)))
			e->ebx = hv_cpuid_xsave_size(&hv_host, vcpu->fpu.xcr0, true);
	}
	hv_cpuid_refresh_xen(vcpu, cpuid);
}

bool hv_cpuid_has_mwait(const struct hv_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *e = hv_cpuid_find(vcpu->cpuid, 1, 0);

	return e && (e->ecx & BIT(3));
}

void hv_cpuid_refresh(struct hv_vcpu *vcpu)
{
	hv_cpuid_refresh_table(vcpu, vcpu->cpuid);
}

/* ---- KVM_SET_CPUID2 ------------------------------------------------------------------------ */

static struct hv_cpuid *hv_cpuid_build(const struct kvm_cpuid_entry2 *entries, u32 nr)
{
	struct hv_cpuid *cpuid = kvzalloc(struct_size(cpuid, entry, nr), GFP_KERNEL_ACCOUNT);
	u32 i;

	if (!cpuid)
		return NULL;
	cpuid->nr = nr;
	for (i = 0; i < nr; i++) {
		cpuid->entry[i] = entries[i];
		memset(cpuid->entry[i].padding, 0, sizeof(cpuid->entry[i].padding));
	}
	hv_cpuid_derive(cpuid);
	return cpuid;
}

static int hv_cpuid_valid(const struct hv_cpuid *cpuid)
{
	const struct kvm_cpuid_entry2 *e = hv_cpuid_find(cpuid, 0x80000008, 0);
	u32 linear = e ? e->eax >> 8 & 0xff : 0;

	/* Linear addresses come in two widths; 0 is the CPU's own. */
	return !linear || linear == 48 || linear == 57;
}

static bool hv_cpuid_same(const struct hv_cpuid *a, const struct hv_cpuid *b)
{
	return a->nr == b->nr && !memcmp(a->entry, b->entry, a->nr * sizeof(a->entry[0]));
}

static void hv_cpuid_install(struct hv_vcpu *vcpu, struct hv_cpuid *cpuid)
{
	struct hv_cpuid *old = vcpu->cpuid;

	WRITE_ONCE(vcpu->cpuid, cpuid);
	vcpu->fpu.xfeatures = cpuid->xcr0 | HV_XCR0_X87;
	if (old)
		kvfree_rcu(old, rcu);
}

int hv_cpuid_set(struct hv_vcpu *vcpu, const struct kvm_cpuid_entry2 *entries, u32 nr)
{
	struct hv_cpuid *cpuid = hv_cpuid_build(entries, nr);

	if (!cpuid)
		return -ENOMEM;
	if (!hv_cpuid_valid(cpuid)) {
		kvfree(cpuid);
		return -EINVAL;
	}
	hv_cpuid_refresh_table(vcpu, cpuid);
	/* The guest has seen its CPU by now: it can only be told the same again. */
	if (vcpu->stats.exits) {
		bool same = hv_cpuid_same(cpuid, vcpu->cpuid);

		kvfree(cpuid);
		return same ? 0 : -EINVAL;
	}
	if (cpuid->has_hyperv && hv_hyperv_vcpu_prepare(vcpu)) {
		kvfree(cpuid);
		return -ENOMEM;
	}
	hv_cpuid_install(vcpu, cpuid);
	hv_ops.update(vcpu);
	return 0;
}

int hv_cpuid_init(struct hv_vcpu *vcpu)
{
	struct hv_cpuid *cpuid = hv_cpuid_build(NULL, 0);

	if (!cpuid)
		return -ENOMEM;
	hv_cpuid_install(vcpu, cpuid);
	return 0;
}

void hv_cpuid_free(struct hv_vcpu *vcpu)
{
	kvfree(vcpu->cpuid);
	vcpu->cpuid = NULL;
}

/* ---- KVM_GET_SUPPORTED_CPUID --------------------------------------------------------------- */

int hv_cpuid_supported(struct kvm_cpuid_entry2 *entries, u32 nr)
{
	struct hv_cpuid_leaf *leaves;
	int r = -E2BIG;
	u32 n, i;

	leaves = kvcalloc(HV_MAX_CPUID_ENTRIES, sizeof(*leaves), GFP_KERNEL_ACCOUNT);
	if (!leaves)
		return -ENOMEM;
	n = hv_cpuid_policy(&hv_host, leaves, HV_MAX_CPUID_ENTRIES);
	if (n > nr || n > HV_MAX_CPUID_ENTRIES)
		goto free;
	for (i = 0; i < n; i++)
		entries[i] = (struct kvm_cpuid_entry2) {
			.function = leaves[i].function,
			.index = leaves[i].index,
			.flags = leaves[i].has_index ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
			.eax = leaves[i].reg[HV_CPUID_EAX],
			.ebx = leaves[i].reg[HV_CPUID_EBX],
			.ecx = leaves[i].reg[HV_CPUID_ECX],
			.edx = leaves[i].reg[HV_CPUID_EDX],
		};
	r = n;
free:
	kvfree(leaves);
	return r;
}

/* No feature is offered that only the emulator would provide. */
int hv_cpuid_emulated(struct kvm_cpuid_entry2 *entries, u32 nr)
{
	if (!nr)
		return -E2BIG;
	entries[0] = (struct kvm_cpuid_entry2) { .function = 0 };
	return 1;
}

/* ---- load time ----------------------------------------------------------------------------- */

/* One feature word of what is offered. */
static u32 hv_offered(const struct hv_cpuid_leaf *leaves, u32 n, u32 function, u32 index,
		      enum hv_cpuid_reg reg)
{
	u32 i;

	for (i = 0; i < n; i++)
		if (leaves[i].function == function && leaves[i].index == index)
			return leaves[i].reg[reg];
	return 0;
}

static int hv_caps_fill(void)
{
	struct hv_cpuid_leaf *l = kvcalloc(HV_MAX_CPUID_ENTRIES, sizeof(*l), GFP_KERNEL);
	u32 n, d81;

	if (!l)
		return -ENOMEM;
	n = min_t(u32, hv_cpuid_policy(&hv_host, l, HV_MAX_CPUID_ENTRIES), HV_MAX_CPUID_ENTRIES);
	d81 = hv_offered(l, n, 0x80000001, 0, HV_CPUID_EDX);
	hv_caps.cr4 = hv_cr4_allowed(hv_offered(l, n, 1, 0, HV_CPUID_ECX),
				     hv_offered(l, n, 7, 0, HV_CPUID_EBX),
				     hv_offered(l, n, 7, 0, HV_CPUID_ECX));
	hv_caps.efer = hv_efer_allowed(d81, hv_offered(l, n, 0x80000021, 0, HV_CPUID_EAX));
	hv_caps.rdtscp = d81 & BIT(27);
	hv_caps.rdpid = hv_offered(l, n, 7, 0, HV_CPUID_ECX) & BIT(22);
	hv_caps.maxphyaddr = hv_offered(l, n, 0x80000008, 0, HV_CPUID_EAX) & 0xff ?: 36;
	/* Second-level tables of this many levels translate no wider addresses. */
	hv_caps.maxphyaddr = min_t(u8, hv_caps.maxphyaddr, hv_host.tdp_bits);
	kvfree(l);
	return 0;
}

int hv_x86_init(void)
{
	unsigned int i;
	int r;

	r = hv_fpu_module_init();
	if (r)
		return r;
	for (i = 2; hv_caps.xcr0 && i < HV_XCR0_COMPONENTS; i++)
		cpuid_count(0xd, i, &hv_host_leaf_d[i][0], &hv_host_leaf_d[i][1],
			    &hv_host_leaf_d[i][2], &hv_host_leaf_d[i][3]);
	hv_caps.spec_ctrl = boot_cpu_has(X86_FEATURE_MSR_SPEC_CTRL);
	hv_host = (struct hv_cpuid_host) {
		.read = hv_host_read,
		.xcr0 = hv_caps.xcr0,
		.pku = hv_caps.pku,
		.umip = hv_ops.umip,
		.tdp_bits = 12 + 9 * hv_ops.tdp.levels,
	};
	r = hv_caps_fill();
	if (r) {
		hv_fpu_module_exit();
		return r;
	}
	hv_msr_module_init();
	return 0;
}

void hv_x86_exit(void)
{
	hv_fpu_module_exit();
}
