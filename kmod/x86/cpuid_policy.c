// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_GET_SUPPORTED_CPUID: what of the host's CPUID guests can have.
 *
 * A feature word is the host's, cut down to what hv_words lists, plus bits that hv provides
 * whatever the host has. Of the other leaves those are passed on that describe the CPU and not the
 * machine (caches, names, address widths); all else reads as zero. Not offered: nested
 * virtualization, a PMU, AMX, shadow stacks, resource control, power management, SGX, SEV.
 *
 * Manuals: SDM vol. 2A, CPUID; APM vol. 3, appendix E.
 */
#include <linux/bits.h>
#include <linux/kernel.h>
#include <linux/string.h>

#include "cpuid_policy.h"
#include "xstate_defs.h"

#define B(n) (1U << (n))

struct hv_word {
	u32 function, index;
	u8 reg;			/* enum hv_cpuid_reg */
	u32 mask;		/* passed on if the host has it */
	u32 set;		/* provided by hv on any host */
};

static const struct hv_word hv_words[] = {
	{ 0x1, 0, HV_CPUID_EDX,
	  B(0) /* fpu */ | B(1) /* vme */ | B(2) /* de */ | B(3) /* pse */ | B(4) /* tsc */ |
	  B(5) /* msr */ | B(6) /* pae */ | B(7) /* mce */ | B(8) /* cx8 */ | B(9) /* apic */ |
	  B(11) /* sep */ | B(12) /* mtrr */ | B(13) /* pge */ | B(14) /* mca */ |
	  B(15) /* cmov */ | B(16) /* pat */ | B(17) /* pse36 */ | B(19) /* clflush */ |
	  B(23) /* mmx */ | B(24) /* fxsr */ | B(25) /* sse */ | B(26) /* sse2 */ |
	  B(27) /* ss */, 0 },
	{ 0x1, 0, HV_CPUID_ECX,
	  B(0) /* sse3 */ | B(1) /* pclmul */ | B(9) /* ssse3 */ | B(12) /* fma */ |
	  B(13) /* cx16 */ | B(17) /* pcid */ | B(19) /* sse4.1 */ | B(20) /* sse4.2 */ |
	  B(22) /* movbe */ | B(23) /* popcnt */ | B(25) /* aes */ | B(26) /* xsave */ |
	  B(28) /* avx */ | B(29) /* f16c */ | B(30) /* rdrand */,
	  B(21) /* x2apic */ | B(31) /* hypervisor */ },
	{ 0x6, 0, HV_CPUID_EAX, 0, B(2) /* arat: the APIC timer never stops */ },
	{ 0x7, 0, HV_CPUID_EBX,
	  B(0) /* fsgsbase */ | B(3) /* bmi1 */ | B(5) /* avx2 */ | B(6) /* fdp_excptn_only */ |
	  B(7) /* smep */ | B(8) /* bmi2 */ | B(9) /* erms */ | B(10) /* invpcid */ |
	  B(13) /* zero fcs/fds */ | B(16) /* avx512f */ |
	  B(17) /* avx512dq */ | B(18) /* rdseed */ | B(19) /* adx */ | B(20) /* smap */ |
	  B(21) /* avx512ifma */ | B(23) /* clflushopt */ | B(24) /* clwb */ |
	  B(26) /* avx512pf */ | B(27) /* avx512er */ | B(28) /* avx512cd */ | B(29) /* sha */ |
	  B(30) /* avx512bw */ | B(31) /* avx512vl */,
	  B(1) /* tsc_adjust */ },
	{ 0x7, 0, HV_CPUID_ECX,
	  B(1) /* avx512vbmi */ | B(2) /* umip */ | B(3) /* pku */ | B(6) /* avx512vbmi2 */ |
	  B(8) /* gfni */ | B(9) /* vaes */ | B(10) /* vpclmulqdq */ | B(11) /* avx512vnni */ |
	  B(12) /* avx512bitalg */ | B(14) /* avx512vpopcntdq */ | B(16) /* la57 */ |
	  B(22) /* rdpid */ | B(25) /* cldemote */ | B(27) /* movdiri */ | B(28) /* movdir64b */,
	  0 },
	{ 0x7, 0, HV_CPUID_EDX,
	  B(2) /* avx512 4vnniw */ | B(3) /* avx512 4fmaps */ | B(4) /* fsrm */ |
	  B(8) /* avx512 vp2intersect */ | B(10) /* md_clear */ | B(14) /* serialize */ |
	  B(23) /* avx512fp16 */ | B(26) /* spec_ctrl */ | B(27) /* stibp */ | B(31) /* ssbd */,
	  B(29) /* arch_capabilities */ },
	{ 0x7, 1, HV_CPUID_EAX,
	  B(4) /* avx-vnni */ | B(5) /* avx512bf16 */ | B(7) /* cmpccxadd */ | B(10) /* fzrm */ |
	  B(11) /* fsrs */ | B(12) /* fsrc */ | B(23) /* avx-ifma */, 0 },
	{ 0x7, 1, HV_CPUID_EDX,
	  B(4) /* avx-vnni-int8 */ | B(5) /* avx-ne-convert */ | B(14) /* prefetchi */, 0 },
	{ 0xd, 1, HV_CPUID_EAX,
	  B(0) /* xsaveopt */ | B(1) /* xsavec */ | B(2) /* xgetbv1 */ | B(3) /* xsaves */, 0 },
	{ 0x80000001, 0, HV_CPUID_EDX,
	  B(0) | B(1) | B(2) | B(3) | B(4) | B(5) | B(6) | B(7) | B(8) | B(9) /* as leaf 1 */ |
	  B(11) /* syscall */ | B(12) | B(13) | B(14) | B(15) | B(16) | B(17) | B(20) /* nx */ |
	  B(22) /* mmxext */ | B(23) | B(24) | B(25) /* ffxsr */ | B(26) /* 1G pages */ |
	  B(27) /* rdtscp */ | B(29) /* lm */ | B(30) /* 3dnowext */ | B(31) /* 3dnow */, 0 },
	{ 0x80000001, 0, HV_CPUID_ECX,
	  B(0) /* lahf_lm */ | B(1) /* cmp_legacy */ | B(4) /* cr8_legacy */ | B(5) /* abm */ |
	  B(6) /* sse4a */ | B(7) /* misalignsse */ | B(8) /* 3dnowprefetch */ |
	  B(9) /* osvw */ | B(11) /* xop */ | B(16) /* fma4 */ | B(21) /* tbm */ |
	  B(22) /* topoext */, 0 },
	{ 0x80000007, 0, HV_CPUID_EDX, B(8) /* constant TSC */, 0 },
	{ 0x80000008, 0, HV_CPUID_EBX,
	  B(0) /* clzero */ | B(2) /* xsaveerptr */ | B(9) /* wbnoinvd */ | B(12) /* ibpb */ |
	  B(14) /* ibrs */ | B(15) /* stibp */ | B(17) /* stibp always on */ | B(24) /* ssbd */ |
	  B(26) /* ssb_no */ | B(28) /* psfd */, 0 },
	{ 0x80000021, 0, HV_CPUID_EAX,
	  B(0) /* no nested data breakpoints */ | B(2) /* lfence serializing */ |
	  B(6) /* null selector clears base */ | B(8) /* automatic ibrs */ |
	  B(9) /* no SMM_CTL */, 0 },
};

static u32 hv_words_of(u32 function, u32 index, u8 reg, u32 host)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(hv_words); i++) {
		const struct hv_word *w = &hv_words[i];

		if (w->function == function && w->index == index && w->reg == reg)
			return (host & w->mask) | w->set;
	}
	return 0;
}

/* ---- features that need others ------------------------------------------------------------- */

#define AVX512_EBX	(B(16) | B(17) | B(21) | B(26) | B(27) | B(28) | B(30) | B(31))
#define AVX512_ECX	(B(1) | B(6) | B(11) | B(12) | B(14))
#define AVX512_EDX	(B(2) | B(3) | B(8) | B(23))

/* An instruction set whose registers cannot be switched must not be offered. */
static void hv_policy_xstate(const struct hv_cpuid_host *host, struct hv_cpuid_leaf *l)
{
	u32 *r = l->reg;

	if (l->function == 1 && !host->xcr0)
		r[HV_CPUID_ECX] &= ~B(26);
	if (!(host->xcr0 & HV_XCR0_AVX)) {
		if (l->function == 1)
			r[HV_CPUID_ECX] &= ~(B(12) | B(28) | B(29));
		if (l->function == 7 && !l->index) {
			r[HV_CPUID_EBX] &= ~B(5);
			r[HV_CPUID_ECX] &= ~(B(9) | B(10));
		}
		if (l->function == 7 && l->index == 1) {
			r[HV_CPUID_EAX] &= ~(B(4) | B(23));
			r[HV_CPUID_EDX] &= ~(B(4) | B(5));
		}
		if (l->function == 0x80000001)
			r[HV_CPUID_ECX] &= ~(B(11) | B(16));
	}
	if ((host->xcr0 & HV_XCR0_AVX512) != HV_XCR0_AVX512) {
		if (l->function == 7 && !l->index) {
			r[HV_CPUID_EBX] &= ~AVX512_EBX;
			r[HV_CPUID_ECX] &= ~AVX512_ECX;
			r[HV_CPUID_EDX] &= ~AVX512_EDX;
		}
		if (l->function == 7 && l->index == 1)
			r[HV_CPUID_EAX] &= ~B(5);
	}
	if (l->function == 7 && !l->index) {
		if (!host->pku)
			r[HV_CPUID_ECX] &= ~B(3);
		if (host->umip)
			r[HV_CPUID_ECX] |= B(2);
	}
}

/* Intel's and AMD's names for the same speculation controls: a guest may know only one. */
static void hv_policy_spec(const struct hv_cpuid_host *host, struct hv_cpuid_leaf *l)
{
	u32 amd[4], intel[4];

	if (l->function != 7 || l->index)
		return;
	host->read(HV_CPUID_EXT_BASE, 0, amd);
	if (amd[HV_CPUID_EAX] < 0x80000008)
		return;
	host->read(0x80000008, 0, amd);
	host->read(7, 0, intel);
	if ((amd[HV_CPUID_EBX] & B(12)) && (amd[HV_CPUID_EBX] & B(14)))
		l->reg[HV_CPUID_EDX] |= B(26);
	if (amd[HV_CPUID_EBX] & B(15))
		l->reg[HV_CPUID_EDX] |= B(27);
	if (amd[HV_CPUID_EBX] & B(24))
		l->reg[HV_CPUID_EDX] |= B(31);
}

/* ---- the leaves ---------------------------------------------------------------------------- */

struct hv_policy {
	const struct hv_cpuid_host *host;
	struct hv_cpuid_leaf *leaf;
	u32 room, nr;
};

static void hv_emit(struct hv_policy *p, const struct hv_cpuid_leaf *l)
{
	if (p->nr < p->room)
		p->leaf[p->nr] = *l;
	p->nr++;
}

/* A leaf with feature words: those of its registers that hv_words does not list are zero. */
static void hv_emit_words(struct hv_policy *p, struct hv_cpuid_leaf *l)
{
	unsigned int i;
	u32 host[4];

	p->host->read(l->function, l->index, host);
	for (i = 0; i < 4; i++)
		l->reg[i] |= hv_words_of(l->function, l->index, i, host[i]);
	hv_policy_xstate(p->host, l);
	hv_policy_spec(p->host, l);
	hv_emit(p, l);
}

/* Cache leaves (4, 0x8000001d): sub-leaves up to the first of type 0. */
static void hv_emit_caches(struct hv_policy *p, u32 function)
{
	struct hv_cpuid_leaf l = { .function = function, .has_index = true };

	for (; l.index < 16; l.index++) {
		p->host->read(function, l.index, l.reg);
		/* Who shares a cache is the topology's business: user space's. */
		l.reg[HV_CPUID_EAX] &= 0x3fff;
		hv_emit(p, &l);
		if (!(l.reg[HV_CPUID_EAX] & 0x1f))
			return;
	}
}

static void hv_emit_xstate(struct hv_policy *p)
{
	const struct hv_cpuid_host *host = p->host;
	struct hv_cpuid_leaf l = { .function = 0xd, .has_index = true };
	u32 i;

	if (!host->xcr0) {
		hv_emit(p, &l);
		return;
	}
	l.reg[HV_CPUID_EAX] = host->xcr0;
	l.reg[HV_CPUID_EDX] = host->xcr0 >> 32;
	l.reg[HV_CPUID_EBX] = hv_cpuid_xsave_size(host, HV_XCR0_X87, false);
	l.reg[HV_CPUID_ECX] = hv_cpuid_xsave_size(host, host->xcr0, false);
	hv_emit(p, &l);

	/* No supervisor components: IA32_XSS is 0 and stays so. */
	l = (struct hv_cpuid_leaf) { .function = 0xd, .index = 1, .has_index = true };
	hv_emit_words(p, &l);

	for (i = 2; i < HV_XCR0_COMPONENTS; i++) {
		if (!(host->xcr0 & BIT_ULL(i)))
			continue;
		l = (struct hv_cpuid_leaf) { .function = 0xd, .index = i, .has_index = true };
		host->read(0xd, i, l.reg);
		l.reg[HV_CPUID_ECX] &= B(1);	/* a user component; its alignment */
		l.reg[HV_CPUID_EDX] = 0;
		hv_emit(p, &l);
	}
}

static void hv_emit_basic(struct hv_policy *p, u32 function, u32 max)
{
	struct hv_cpuid_leaf l = { .function = function };

	switch (function) {
	case 0x0:
		p->host->read(0, 0, l.reg);
		l.reg[HV_CPUID_EAX] = max;
		hv_emit(p, &l);
		break;
	case 0x1:
		p->host->read(1, 0, l.reg);
		/* Signature; CLFLUSH size. APIC id and the number of CPUs are user space's. */
		l.reg[HV_CPUID_EBX] &= 0x0000ff00;
		l.reg[HV_CPUID_ECX] = 0;
		l.reg[HV_CPUID_EDX] = 0;
		hv_emit_words(p, &l);
		break;
	case 0x2:
		p->host->read(2, 0, l.reg);
		hv_emit(p, &l);
		break;
	case 0x4:
		hv_emit_caches(p, 4);
		break;
	case 0x7:
		l.has_index = true;
		p->host->read(7, 0, l.reg);
		l.reg[HV_CPUID_EAX] = min(l.reg[HV_CPUID_EAX], 1U);
		max = l.reg[HV_CPUID_EAX];
		l.reg[HV_CPUID_EBX] = l.reg[HV_CPUID_ECX] = l.reg[HV_CPUID_EDX] = 0;
		hv_emit_words(p, &l);
		if (max) {
			l = (struct hv_cpuid_leaf) { .function = 7, .index = 1, .has_index = true };
			hv_emit_words(p, &l);
		}
		break;
	case 0xb:
	case 0x1f:
		/* Topology comes from user space; without it there is one level of nothing. */
		l.has_index = true;
		hv_emit(p, &l);
		break;
	case 0xd:
		hv_emit_xstate(p);
		break;
	default:
		hv_emit_words(p, &l);
		break;
	}
}

static void hv_emit_extended(struct hv_policy *p, u32 function, u32 max)
{
	struct hv_cpuid_leaf l = { .function = function };

	p->host->read(function, 0, l.reg);
	switch (function) {
	case 0x80000000:
		l.reg[HV_CPUID_EAX] = max;
		hv_emit(p, &l);
		break;
	case 0x80000001:
		l.reg[HV_CPUID_EBX] &= 0xf0000fff;	/* brand id, package */
		l.reg[HV_CPUID_ECX] = l.reg[HV_CPUID_EDX] = 0;
		hv_emit_words(p, &l);
		break;
	case 0x80000002 ... 0x80000005:
		hv_emit(p, &l);
		break;
	case 0x80000006:
		l.reg[HV_CPUID_EDX] &= ~(B(16) | B(17));
		hv_emit(p, &l);
		break;
	case 0x80000008:
		l.reg[HV_CPUID_EBX] = l.reg[HV_CPUID_ECX] = l.reg[HV_CPUID_EDX] = 0;
		/* Widths of physical and linear addresses, and what of the former can be memory. */
		l.reg[HV_CPUID_EAX] &= 0xffff;
		l.reg[HV_CPUID_EAX] |= min(l.reg[HV_CPUID_EAX] & 0xff, p->host->tdp_bits) << 16;
		hv_emit_words(p, &l);
		break;
	case 0x80000019:
		l.reg[HV_CPUID_ECX] = l.reg[HV_CPUID_EDX] = 0;
		hv_emit(p, &l);
		break;
	case 0x8000001a:
		l.reg[HV_CPUID_EAX] &= 7;
		l.reg[HV_CPUID_EBX] = l.reg[HV_CPUID_ECX] = l.reg[HV_CPUID_EDX] = 0;
		hv_emit(p, &l);
		break;
	case 0x8000001d:
		hv_emit_caches(p, function);
		break;
	default:
		memset(l.reg, 0, sizeof(l.reg));
		hv_emit_words(p, &l);
		break;
	}
}

static void hv_emit_pv(struct hv_policy *p)
{
	struct hv_cpuid_leaf l = { .function = HV_CPUID_PV_BASE };

	l.reg[HV_CPUID_EAX] = HV_CPUID_PV_FEATURES;
	l.reg[HV_CPUID_EBX] = HV_CPUID_PV_EBX;
	l.reg[HV_CPUID_ECX] = HV_CPUID_PV_ECX;
	l.reg[HV_CPUID_EDX] = HV_CPUID_PV_EDX;
	hv_emit(p, &l);
	l = (struct hv_cpuid_leaf) { .function = HV_CPUID_PV_FEATURES };
	l.reg[HV_CPUID_EAX] = HV_PV_FEATURES;
	hv_emit(p, &l);
}

u32 hv_cpuid_policy(const struct hv_cpuid_host *host, struct hv_cpuid_leaf *leaf, u32 room)
{
	struct hv_policy p = { .host = host, .leaf = leaf, .room = room };
	u32 reg[4], max, f;

	host->read(0, 0, reg);
	max = min(reg[HV_CPUID_EAX], (u32)HV_CPUID_MAX_BASIC);
	for (f = 0; f <= max; f++)
		hv_emit_basic(&p, f, max);
	hv_emit_pv(&p);
	host->read(HV_CPUID_EXT_BASE, 0, reg);
	max = min(reg[HV_CPUID_EAX], HV_CPUID_MAX_EXT);
	for (f = HV_CPUID_EXT_BASE; f <= max; f++)
		hv_emit_extended(&p, f, max);
	return p.nr;
}

u32 hv_cpuid_xsave_size(const struct hv_cpuid_host *host, u64 xcr0, bool compacted)
{
	u32 size = HV_XSAVE_MIN, i, reg[4];

	for (i = 2; i < HV_XCR0_COMPONENTS; i++) {
		if (!(xcr0 & BIT_ULL(i)))
			continue;
		host->read(0xd, i, reg);
		if (!compacted)
			size = max(size, reg[HV_CPUID_EBX] + reg[HV_CPUID_EAX]);
		else if (reg[HV_CPUID_ECX] & B(1))
			size = ((size + 63) & ~63U) + reg[HV_CPUID_EAX];
		else
			size += reg[HV_CPUID_EAX];
	}
	return size;
}
