// SPDX-License-Identifier: GPL-2.0-only
/* Putting translations into the second-level tables: the installers' side of tdp.h. */

#include <linux/gfp.h>
#include <linux/mm.h>

#include "tdp.h"

/* Changes of one entry by others that an installer puts up with before it lets the guest retry. */
#define HV_MAP_TRIES 64

/* Is an invalidation in flight for what @map covers, or was there one since it was looked up? */
static bool hv_map_stale(const struct hv_mmu *mmu, const struct hv_map *map)
{
	u64 mask = hv_tdp_pages(map->level) - 1;
	hv_gfn_t gfn = map->gfn & ~mask;
	u64 hva = map->hva & ~((mask + 1) * PAGE_SIZE - 1);

	if (unlikely(READ_ONCE(mmu->invalidate_count))) {
		if (gfn < READ_ONCE(mmu->invalidate_end) &&
		    gfn + mask >= READ_ONCE(mmu->invalidate_start))
			return true;
		if (hva < READ_ONCE(mmu->invalidate_hva_end) &&
		    hva + (mask + 1) * PAGE_SIZE > READ_ONCE(mmu->invalidate_hva_start))
			return true;
	}
	/* count and ranges before seq; pairs with hv_mmu_retract(). */
	smp_rmb();
	return READ_ONCE(mmu->invalidate_seq) != map->seq;
}

static void hv_mmu_gate_leave(struct hv_vcpu *vcpu)
{
	/* Our entries are written before the remover sees the gate empty. */
	smp_store_release(&vcpu->mmu_busy, 0);
	preempt_enable();
}

static bool hv_mmu_gate_enter(struct hv_vcpu *vcpu, const struct hv_map *map)
{
	preempt_disable();
	WRITE_ONCE(vcpu->mmu_busy, 1);
	/* Seen in the gate, or sees what is published; pairs with hv_mmu_invalidate_frames(). */
	smp_mb();
	if (likely(!hv_map_stale(&vcpu->vm->mmu, map)))
		return true;
	hv_mmu_gate_leave(vcpu);
	return false;
}

int hv_mmu_cache_fill(struct hv_vcpu *vcpu, bool may_sleep)
{
	gfp_t gfp = may_sleep ? GFP_KERNEL_ACCOUNT : GFP_NOWAIT | __GFP_ACCOUNT | __GFP_NOWARN;
	/* One for each level below the root; splitting a large leaf takes no more. */
	unsigned int need = hv_tdp()->levels - 1;
	struct page *page;

	BUILD_BUG_ON(HV_MMU_CACHE < HV_TDP_MAX_LEVELS - 1);
	while (vcpu->mmu_cache_nr < need) {
		page = alloc_page(gfp | __GFP_ZERO);
		if (!page)
			return -ENOMEM;
		vcpu->mmu_cache[vcpu->mmu_cache_nr++] = page;
	}
	return 0;
}

void hv_mmu_vcpu_free(struct hv_vcpu *vcpu)
{
	while (vcpu->mmu_cache_nr)
		__free_page(vcpu->mmu_cache[--vcpu->mmu_cache_nr]);
}

static u64 hv_leaf_perms(const struct hv_map *map, int level)
{
	const struct hv_tdp_format *f = hv_tdp();
	u64 bits = f->read | f->accessed;

	if (level == 1 || !f->small_exec)
		bits |= f->exec;
	if (map->writable)
		bits |= f->write;
	if (map->access & HV_ACCESS_WRITE)
		bits |= f->dirty;
	return bits;
}

/* The leaf at @level that maps map->gfn. */
static u64 hv_leaf_make(const struct hv_map *map, int level)
{
	const struct hv_tdp_format *f = hv_tdp();
	u64 base = map->pfn & ~(hv_tdp_pages(level) - 1);
	u64 entry = base << PAGE_SHIFT | hv_leaf_perms(map, level);

	entry |= map->uncached ? f->uncached : f->leaf;
	if (level > 1)
		entry |= f->large;
	return entry;
}

static bool hv_leaf_allows(u64 leaf, u32 access)
{
	const struct hv_tdp_format *f = hv_tdp();

	if ((access & HV_ACCESS_WRITE) && !(leaf & f->write))
		return false;
	if ((access & HV_ACCESS_FETCH) && ((leaf & f->no_exec) || (leaf & f->exec) != f->exec))
		return false;
	return true;
}

static atomic_long_t *hv_leaf_counter(struct hv_mmu *mmu, int level)
{
	if (level == 1)
		return &mmu->pages_4k;
	return level == 2 ? &mmu->pages_2m : &mmu->pages_1g;
}

/* Replace @old by a new table, equal to @old if that is a large leaf. False: it changed. */
static bool hv_table_install(struct hv_vcpu *vcpu, u64 *entry, u64 old, int level)
{
	const struct hv_tdp_format *f = hv_tdp();
	struct hv_mmu *mmu = &vcpu->vm->mmu;
	bool split = hv_tdp_present(old);
	u64 step = hv_tdp_pages(level - 1) << PAGE_SHIFT;
	struct page *page;
	unsigned int i;
	u64 *table, child;

	page = vcpu->mmu_cache[vcpu->mmu_cache_nr - 1];
	table = page_address(page);
	if (split) {
		child = level == 2 ? old & ~f->large : old;
		for (i = 0; i < HV_TDP_ENTRIES; i++)
			table[i] = child + i * step;
	}
	set_page_private(page, level - 1);
	/* The compare-and-swap orders the table's contents before the entry that points to it. */
	if (!try_cmpxchg(entry, &old, page_to_phys(page) | f->table)) {
		if (split)
			clear_page(table);
		return false;
	}
	vcpu->mmu_cache_nr--;
	atomic_long_inc(&mmu->tables);
	if (split) {
		atomic_long_dec(hv_leaf_counter(mmu, level));
		atomic_long_add(HV_TDP_ENTRIES, hv_leaf_counter(mmu, level - 1));
	}
	return true;
}

/* In the gate. One step at one entry that is not a table; HV_MAP_STALE: look at it again. */
static enum hv_map_result hv_map_entry(struct hv_vcpu *vcpu, const struct hv_map *map, u64 *entry,
				       u64 old, int level)
{
	hv_gfn_t offset = map->gfn & (hv_tdp_pages(level) - 1);

	if (!hv_tdp_present(old)) {
		if (level > map->level) {
			hv_table_install(vcpu, entry, old, level);
			return HV_MAP_STALE;
		}
		if (!try_cmpxchg(entry, &old, hv_leaf_make(map, level)))
			return HV_MAP_STALE;
		atomic_long_inc(hv_leaf_counter(&vcpu->vm->mmu, level));
		return HV_MAP_DONE;
	}
	if (hv_leaf_allows(old, map->access))
		return HV_MAP_SPURIOUS;
	if (hv_tdp_pfn(old) + offset != map->pfn)
		return HV_MAP_CONFLICT;
	if (level > map->level) {
		hv_table_install(vcpu, entry, old, level);
		return HV_MAP_STALE;
	}
	if (!try_cmpxchg(entry, &old, old | hv_leaf_perms(map, level)))
		return HV_MAP_STALE;
	return HV_MAP_DONE;
}

static enum hv_map_result hv_map_walk(struct hv_vcpu *vcpu, struct hv_map *map)
{
	u64 *table = page_address(vcpu->vm->mmu.root[vcpu->smm.active]);
	int level = hv_tdp()->levels;
	enum hv_map_result ret;
	unsigned int tries;
	u64 *entry, old;

	for (tries = 0; tries < HV_MAP_TRIES; tries++) {
		entry = &table[hv_tdp_index(map->gfn, level)];
		old = READ_ONCE(*entry);
		if (hv_tdp_present(old) && !hv_tdp_is_leaf(old, level)) {
			/* Pages of this range are mapped one by one already: join them. */
			if (level == map->level)
				map->level--;
			table = hv_tdp_table(old);
			level--;
			continue;
		}
		ret = hv_map_entry(vcpu, map, entry, old, level);
		if (ret != HV_MAP_STALE)
			return ret;
	}
	return HV_MAP_STALE;
}

enum hv_map_result hv_mmu_map(struct hv_vcpu *vcpu, struct hv_map *map)
{
	enum hv_map_result ret;

	if (!hv_mmu_gate_enter(vcpu, map))
		return HV_MAP_STALE;
	ret = hv_map_walk(vcpu, map);
	hv_mmu_gate_leave(vcpu);
	return ret;
}
