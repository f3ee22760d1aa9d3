// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest page walk; see walk.h. One loop serves all paging modes: they differ in the number of
 * levels, the width of an entry and the bits that must be zero.
 */
#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/types.h>

#include "walk.h"

/* Control register bits (APM vol. 2, 3.1). */
#define CR0_WP		0x00010000UL
#define CR0_PG		0x80000000UL
#define CR4_PSE		0x00000010UL
#define CR4_PAE		0x00000020UL
#define CR4_LA57	0x00001000UL
#define CR4_SMEP	0x00100000UL
#define CR4_SMAP	0x00200000UL
#define CR4_PKE		0x00400000UL
#define EFER_LMA	0x00000400UL
#define EFER_NXE	0x00000800UL
#define RFLAGS_AC	0x00040000UL

/* Page table entries (APM vol. 2, 5.3 and 5.4). */
#define PTE_P		BIT_ULL(0)
#define PTE_RW		BIT_ULL(1)
#define PTE_US		BIT_ULL(2)
#define PTE_A		BIT_ULL(5)
#define PTE_D		BIT_ULL(6)
#define PTE_PS		BIT_ULL(7)
#define PTE_NX		BIT_ULL(63)
#define PTE_ADDR	GENMASK_ULL(51, 12)
#define PTE_PK_SHIFT	59

#define MAX_LEVELS	5
/*
 * Walks that lost a race for an A or D bit before the caller is told. Others that walk the
 * same tables win at most one race for each of their bits; more are lost only to who clears bits.
 */
#define MAX_TRIES	64

/* How the current mode walks. */
struct geometry {
	u8 levels;
	u8 entry_size;
	u8 index_bits;
	bool pae_pdpt;		/* the top level is the four-entry PDPT of legacy PAE */
	u64 root;
};

/* What has been seen on the way down. */
struct path {
	u64 gpa[MAX_LEVELS];
	u64 val[MAX_LEVELS];
	u8 nr;
	u64 rights;		/* AND of PTE_RW and PTE_US */
	u64 nx;			/* OR of PTE_NX */
};

static struct geometry get_geometry(const struct hv_walk_env *env)
{
	struct geometry g = { .entry_size = 8, .index_bits = 9, .root = env->cr3 & PTE_ADDR };

	if (env->efer & EFER_LMA) {
		g.levels = env->cr4 & CR4_LA57 ? 5 : 4;
	} else if (env->cr4 & CR4_PAE) {
		g.levels = 3;
		g.pae_pdpt = true;
		g.root = env->cr3 & GENMASK_ULL(31, 5);
	} else {
		g.levels = 2;
		g.entry_size = 4;
		g.index_bits = 10;
		g.root = env->cr3 & GENMASK_ULL(31, 12);
	}
	return g;
}

/* Bits from MAXPHYADDR up to 51 are always reserved; legacy PAE also reserves 52 to 62. */
static u64 reserved_high(const struct hv_walk_env *env, const struct geometry *g)
{
	u64 high = env->maxphyaddr < 52 ? GENMASK_ULL(51, env->maxphyaddr) : 0;

	if (g->levels == 3)
		high |= GENMASK_ULL(62, 52);
	if (!(env->efer & EFER_NXE))
		high |= PTE_NX;
	return high;
}

static bool is_leaf(const struct hv_walk_env *env, const struct geometry *g, unsigned int level,
		    u64 pte)
{
	if (level == 1)
		return true;
	if (!(pte & PTE_PS))
		return false;
	if (g->levels == 2)
		return env->cr4 & CR4_PSE;
	return level == 2 || (level == 3 && !g->pae_pdpt);
}

/* Does the entry have a bit set that must be zero at its level? */
static bool is_reserved(const struct hv_walk_env *env, const struct geometry *g,
			unsigned int level, u64 pte)
{
	u64 bad;

	if (g->levels == 2) {
		/* A 4 MiB page holds address bits 32 to 39 in bits 13 to 20 (PSE-36). */
		if (level == 1 || !is_leaf(env, g, level, pte))
			return false;
		bad = BIT_ULL(21);
		if (env->maxphyaddr < 40)
			bad |= GENMASK_ULL(20, env->maxphyaddr > 32 ? env->maxphyaddr - 19 : 13);
		return pte & bad;
	}
	bad = reserved_high(env, g);
	if (g->pae_pdpt && level == 3)
		/* Bit 5 is reserved, too, but emulated CPUs set it: QEMU's TCG takes it for A. */
		bad |= GENMASK_ULL(8, 6) | GENMASK_ULL(2, 1) | PTE_NX;
	else if (level > 3)
		bad |= PTE_PS;
	else if (level > 1 && is_leaf(env, g, level, pte))
		bad |= GENMASK_ULL(level == 3 ? 29 : 20, 13);
	return pte & bad;
}

static u64 leaf_gpa(const struct geometry *g, unsigned int level, u64 pte, u64 la,
		    unsigned int shift)
{
	u64 mask = GENMASK_ULL(shift - 1, 0);
	u64 base;

	if (g->levels == 2 && level == 2)
		base = (pte & GENMASK_ULL(31, 22)) | (pte & GENMASK_ULL(20, 13)) << 19;
	else
		base = pte & PTE_ADDR;
	return (base & ~mask) | (la & mask);
}

static int walk_fault(struct hv_walk_result *res, const struct hv_walk_env *env, u32 access,
		      u32 why)
{
	res->error = why;
	if (access & HV_WALK_WRITE)
		res->error |= HV_PF_W;
	if (access & HV_WALK_USER)
		res->error |= HV_PF_U;
	/* The bit for fetches exists only where fetches can fault by themselves. */
	if ((access & HV_WALK_FETCH) &&
	    ((env->cr4 & CR4_SMEP) || ((env->efer & EFER_NXE) && (env->cr4 & CR4_PAE))))
		res->error |= HV_PF_ID;
	return HV_WALK_FAULT;
}

/* May a write with this privilege succeed, given the page's rights? */
static bool write_allowed(const struct hv_walk_env *env, const struct path *p, u32 access)
{
	return (p->rights & PTE_RW) || (!(access & HV_WALK_USER) && !(env->cr0 & CR0_WP));
}

/* Protection keys guard data accesses to user pages (APM vol. 2, 5.6.7). */
static bool key_allows(const struct hv_walk_env *env, const struct path *p, u32 access, bool write)
{
	unsigned int key = p->val[p->nr - 1] >> PTE_PK_SHIFT & 0xf;
	bool access_disable = env->pkru >> (2 * key) & 1;
	bool write_disable = env->pkru >> (2 * key + 1) & 1;

	if (!env->pku || !(env->cr4 & CR4_PKE) || !(env->efer & EFER_LMA))
		return true;
	if (!(p->rights & PTE_US) || (access & HV_WALK_FETCH))
		return true;
	if (access_disable)
		return false;
	return !write || !write_disable ||
	       (!(access & HV_WALK_USER) && !(env->cr0 & CR0_WP));
}

static bool rights_allow(const struct hv_walk_env *env, const struct path *p, u32 access)
{
	bool user_page = p->rights & PTE_US;

	if (access & HV_WALK_USER) {
		if (!user_page)
			return false;
	} else if (user_page) {
		if ((access & HV_WALK_FETCH) && (env->cr4 & CR4_SMEP))
			return false;
		if (!(access & HV_WALK_FETCH) && (env->cr4 & CR4_SMAP) &&
		    ((access & HV_WALK_IMPLICIT) || !(env->rflags & RFLAGS_AC)))
			return false;
	}
	if ((access & HV_WALK_FETCH) && p->nx)
		return false;
	return !(access & HV_WALK_WRITE) || write_allowed(env, p, access);
}

/*
 * Set A in every entry used and D in the leaf of a write. The entries of a PAE PDPT have neither.
 */
static int set_accessed_dirty(const struct hv_walk_env *env, const struct geometry *g,
			      struct path *p, u32 access)
{
	unsigned int i = g->pae_pdpt ? 1 : 0;
	int err;

	for (; i < p->nr; i++) {
		u64 new = p->val[i] | PTE_A;

		if (i == p->nr - 1u && (access & HV_WALK_WRITE))
			new |= PTE_D;
		if (new == p->val[i])
			continue;
		err = env->ops->cmp_write(env->ctx, p->gpa[i], p->val[i], new, g->entry_size);
		if (err)
			return err;
		p->val[i] = new;
	}
	return 0;
}

/* Checks that need the whole path, then the result. */
static int finish(const struct hv_walk_env *env, const struct geometry *g, struct path *p,
		  u32 access, struct hv_walk_result *res)
{
	int err;

	if (!rights_allow(env, p, access))
		return walk_fault(res, env, access, HV_PF_P);
	if (!key_allows(env, p, access, access & HV_WALK_WRITE))
		return walk_fault(res, env, access, HV_PF_P | HV_PF_PK);
	if (!(access & HV_WALK_PEEK)) {
		err = set_accessed_dirty(env, g, p, access);
		if (err)
			return err;
	}
	res->writable = write_allowed(env, p, access) && key_allows(env, p, access, true);
	res->dirty = p->val[p->nr - 1] & PTE_D;
	res->user = p->rights & PTE_US;
	res->no_exec = p->nx;
	return 0;
}

static int walk_once(const struct hv_walk_env *env, const struct geometry *g, u64 la, u32 access,
		     struct hv_walk_result *res)
{
	struct path p = { .rights = PTE_RW | PTE_US };
	unsigned int level, shift;
	u64 table = g->root;
	u64 pte, index;
	int err;

	for (level = g->levels; ; level--) {
		shift = 12 + (level - 1) * g->index_bits;
		index = la >> shift & (BIT_ULL(g->pae_pdpt && level == 3 ? 2 : g->index_bits) - 1);
		p.gpa[p.nr] = table + index * g->entry_size;
		pte = 0;
		err = env->ops->read(env->ctx, p.gpa[p.nr], &pte, g->entry_size);
		if (err)
			return err;
		p.val[p.nr++] = pte;
		if (!(pte & PTE_P))
			return walk_fault(res, env, access, 0);
		if (is_reserved(env, g, level, pte))
			return walk_fault(res, env, access, HV_PF_P | HV_PF_RSVD);
		if (!(g->pae_pdpt && level == 3)) {
			p.rights &= pte;
			p.nx |= pte & PTE_NX;
		}
		if (is_leaf(env, g, level, pte))
			break;
		table = pte & PTE_ADDR;
	}
	res->gpa = leaf_gpa(g, level, pte, la, shift);
	res->page_shift = shift;
	return finish(env, g, &p, access, res);
}

int hv_walk(const struct hv_walk_env *env, u64 la, u32 access, struct hv_walk_result *res)
{
	struct geometry g;
	unsigned int tries;
	int ret;

	*res = (struct hv_walk_result){ .page_shift = 12 };
	if (!(env->cr0 & CR0_PG)) {
		res->gpa = (u32)la;
		res->writable = true;
		res->dirty = true;
		res->user = true;
		return 0;
	}
	if (!(env->efer & EFER_LMA))
		la = (u32)la;
	g = get_geometry(env);
	for (tries = 0; tries < MAX_TRIES; tries++) {
		ret = walk_once(env, &g, la, access, res);
		if (ret != HV_WALK_RACED)
			return ret;
	}
	return -EAGAIN;
}
