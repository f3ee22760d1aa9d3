// SPDX-License-Identifier: GPL-2.0-only
/* Taking translations out of the second-level tables: the removers' side of tdp.h. */

#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/sched.h>

#include "tdp.h"

/* ---- publishing ---------------------------------------------------------------------------- */

static void hv_mmu_publish(struct hv_mmu *mmu, u64 hva_start, u64 hva_end)
{
	lockdep_assert_held(&mmu->lock);
	WRITE_ONCE(mmu->invalidate_hva_start, min(mmu->invalidate_hva_start, hva_start));
	WRITE_ONCE(mmu->invalidate_hva_end, max(mmu->invalidate_hva_end, hva_end));
	WRITE_ONCE(mmu->invalidate_count, mmu->invalidate_count + 1);
}

static void hv_mmu_retract(struct hv_mmu *mmu)
{
	lockdep_assert_held(&mmu->lock);
	WRITE_ONCE(mmu->invalidate_seq, mmu->invalidate_seq + 1);
	/* Who sees the count go down sees the new seq; pairs with hv_map_stale(). */
	smp_wmb();
	WRITE_ONCE(mmu->invalidate_count, mmu->invalidate_count - 1);
	if (mmu->invalidate_count)
		return;
	/* No range is in flight: empty unions. */
	WRITE_ONCE(mmu->invalidate_start, ~0ULL);
	WRITE_ONCE(mmu->invalidate_end, 0);
	WRITE_ONCE(mmu->invalidate_hva_start, ~0ULL);
	WRITE_ONCE(mmu->invalidate_hva_end, 0);
}

void hv_mmu_invalidate_begin(struct hv_vm *vm, u64 hva_start, u64 hva_end)
{
	struct hv_mmu *mmu = &vm->mmu;

	spin_lock(&mmu->lock);
	hv_mmu_publish(mmu, hva_start, hva_end);
	vm->stats.mmu_invalidations++;
	spin_unlock(&mmu->lock);
	/* Before the caller reads the memory slots: see "addresses" in tdp.h. */
	smp_mb();
}

void hv_mmu_invalidate_end(struct hv_vm *vm)
{
	spin_lock(&vm->mmu.lock);
	hv_mmu_retract(&vm->mmu);
	spin_unlock(&vm->mmu.lock);
}

void hv_mmu_invalidate_frames(struct hv_vm *vm, hv_gfn_t start, hv_gfn_t end)
{
	struct hv_mmu *mmu = &vm->mmu;
	struct hv_vcpu *vcpu;
	unsigned long i;

	lockdep_assert_held(&mmu->lock);
	WRITE_ONCE(mmu->invalidate_start, min(mmu->invalidate_start, start));
	WRITE_ONCE(mmu->invalidate_end, max(mmu->invalidate_end, end));
	/* Pairs with hv_mmu_gate_enter(). */
	smp_mb();
	/* Those in the gate have preemption off and a bounded walk to do. */
	hv_for_each_vcpu(vm, vcpu, i)
		while (smp_load_acquire(&vcpu->mmu_busy))
			cpu_relax();
}

void hv_mmu_flush_all(struct hv_vm *vm)
{
	vm->stats.remote_tlb_flush++;
	hv_request_all(vm, HV_REQ_TLB_FLUSH);
}

/* ---- detaching ----------------------------------------------------------------------------- */

void hv_zap_init(struct hv_zap *zap)
{
	memset(zap, 0, sizeof(*zap));
	INIT_LIST_HEAD(&zap->tables);
}

static void hv_zap_table(struct hv_zap *zap, u64 *table, int level, hv_gfn_t base, hv_gfn_t start,
			 hv_gfn_t end)
{
	u64 step = hv_tdp_pages(level);
	hv_gfn_t gfn = max(start, base) & ~(step - 1);
	hv_gfn_t stop = min(end, base + HV_TDP_ENTRIES * step);
	u64 *entry, old;

	for (; gfn < stop; gfn += step) {
		entry = &table[hv_tdp_index(gfn, level)];
		old = READ_ONCE(*entry);
		if (!hv_tdp_present(old))
			continue;
		if (hv_tdp_is_leaf(old, level)) {
			xchg(entry, 0);
			zap->leaves[level]++;
			zap->flush = true;
		} else if (gfn >= start && gfn + step <= end) {
			xchg(entry, 0);
			list_add(&virt_to_page(hv_tdp_table(old))->lru, &zap->tables);
			zap->flush = true;
		} else {
			hv_zap_table(zap, hv_tdp_table(old), level - 1, gfn, start, end);
		}
	}
}

void hv_zap_frames(struct hv_vm *vm, struct hv_zap *zap, hv_gfn_t start, hv_gfn_t end)
{
	struct page *root;
	unsigned int as;

	lockdep_assert_held(&vm->mmu.lock);
	for (as = 0; as < HV_NR_AS; as++) {
		root = READ_ONCE(vm->mmu.root[as]);
		if (root)
			hv_zap_table(zap, page_address(root), hv_tdp()->levels, 0, start,
				     min(end, hv_tdp_limit()));
	}
}

void hv_zap_flush(struct hv_vm *vm, struct hv_zap *zap)
{
	lockdep_assert_held(&vm->mmu.lock);
	if (zap->flush)
		hv_mmu_flush_all(vm);
}

/* Nobody can reach the table any more. */
static void hv_table_free(struct hv_zap *zap, struct page *page, bool may_sleep)
{
	int level = page_private(page);
	u64 *table = page_address(page);
	unsigned int i;

	for (i = 0; i < HV_TDP_ENTRIES; i++) {
		if (!hv_tdp_present(table[i]))
			continue;
		if (hv_tdp_is_leaf(table[i], level))
			zap->leaves[level]++;
		else
			hv_table_free(zap, virt_to_page(hv_tdp_table(table[i])), may_sleep);
	}
	zap->nr_tables++;
	set_page_private(page, 0);
	__free_page(page);
	if (may_sleep)
		cond_resched();
}

void hv_zap_finish(struct hv_vm *vm, struct hv_zap *zap, bool may_sleep)
{
	struct hv_mmu *mmu = &vm->mmu;
	struct page *page, *next;

	list_for_each_entry_safe(page, next, &zap->tables, lru) {
		list_del(&page->lru);
		hv_table_free(zap, page, may_sleep);
	}
	atomic_long_sub(zap->leaves[1], &mmu->pages_4k);
	atomic_long_sub(zap->leaves[2], &mmu->pages_2m);
	atomic_long_sub(zap->leaves[3], &mmu->pages_1g);
	atomic_long_sub(zap->nr_tables, &mmu->tables);
}

void hv_mmu_zap_range(struct hv_vm *vm, hv_gfn_t start, hv_gfn_t end, bool may_sleep)
{
	struct hv_mmu *mmu = &vm->mmu;
	struct hv_zap zap;

	hv_zap_init(&zap);
	spin_lock(&mmu->lock);
	hv_mmu_publish(mmu, ~0ULL, 0);
	hv_mmu_invalidate_frames(vm, start, end);
	hv_zap_frames(vm, &zap, start, end);
	hv_zap_flush(vm, &zap);
	hv_mmu_retract(mmu);
	spin_unlock(&mmu->lock);
	hv_zap_finish(vm, &zap, may_sleep);
}

void hv_mmu_zap_slot(struct hv_vm *vm, const struct hv_memslot *slot)
{
	hv_mmu_zap_range(vm, slot->base_gfn, slot->base_gfn + slot->npages, true);
}

/* ---- iterating ----------------------------------------------------------------------------- */

/* Walk to the entry that decides about it->next; false if nothing there is mapped. */
static bool hv_leaf_walk(struct hv_leaf_iter *it, u64 *table, int level)
{
	u64 entry;

	for (;; level--) {
		it->level = level;
		it->entry = &table[hv_tdp_index(it->next, level)];
		entry = READ_ONCE(*it->entry);
		if (!hv_tdp_present(entry))
			return false;
		if (hv_tdp_is_leaf(entry, level))
			return true;
		table = hv_tdp_table(entry);
		if (level == 2)
			it->table = table;
	}
}

static bool hv_leaf_next_here(struct hv_leaf_iter *it)
{
	hv_gfn_t end = min(it->end, hv_tdp_limit());
	bool found = false;
	u64 pages;

	while (it->next < end && !found) {
		if (it->table)
			found = hv_leaf_walk(it, it->table, 1);
		else
			found = hv_leaf_walk(it, page_address(it->root), hv_tdp()->levels);
		pages = hv_tdp_pages(it->level);
		it->gfn = it->next & ~(pages - 1);
		it->next = it->gfn + pages;
		/* The next frame is in another table of level 1. */
		if (!(it->next & (HV_TDP_ENTRIES - 1)))
			it->table = NULL;
	}
	return found;
}

bool hv_leaf_next(struct hv_leaf_iter *it)
{
	struct hv_mmu *mmu = &it->vm->mmu;

	lockdep_assert_held(&mmu->lock);
	if (!it->root) {
		it->first = it->next;
		it->root = mmu->root[0];
	}
	if (hv_leaf_next_here(it))
		return true;
	/* Once more, in the tables of the other address space. */
	if (it->root != mmu->root[0] || !READ_ONCE(mmu->root[1]))
		return false;
	it->root = mmu->root[1];
	it->next = it->first;
	it->table = NULL;
	return hv_leaf_next_here(it);
}

/* ---- the tables of a VM -------------------------------------------------------------------- */

u64 hv_mmu_root(const struct hv_vm *vm, unsigned int as)
{
	return page_to_phys(vm->mmu.root[as]);
}

int hv_mmu_smm_root(struct hv_vm *vm)
{
	struct page *page;

	if (READ_ONCE(vm->mmu.root[1]))
		return 0;
	page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!page)
		return -ENOMEM;
	/*
	 * Who installs in it does so in the gate: a remover that did not see it waits for that, or
	 * has kept it out (tdp.h).
	 */
	if (cmpxchg(&vm->mmu.root[1], NULL, page))
		__free_page(page);
	return 0;
}

int hv_mmu_tables_init(struct hv_vm *vm)
{
	struct hv_mmu *mmu = &vm->mmu;

	spin_lock_init(&mmu->lock);
	mmu->invalidate_start = ~0ULL;
	mmu->invalidate_end = 0;
	mmu->invalidate_hva_start = ~0ULL;
	mmu->invalidate_hva_end = 0;
	mmu->root[0] = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	return mmu->root[0] ? 0 : -ENOMEM;
}

void hv_mmu_tables_free(struct hv_vm *vm)
{
	unsigned int as;

	hv_mmu_zap_range(vm, 0, hv_tdp_limit(), true);
	for (as = 0; as < HV_NR_AS; as++) {
		if (vm->mmu.root[as])
			__free_page(vm->mmu.root[as]);
		vm->mmu.root[as] = NULL;
	}
}
