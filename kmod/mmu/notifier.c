// SPDX-License-Identifier: GPL-2.0-only
/*
 * The second-level tables follow the process's memory: mmu_notifier callbacks, set-up, tear-down.
 */

#include <linux/mmu_notifier.h>
#include <linux/srcu.h>

#include "tdp.h"

/* The frames of @slot that lie in [start, end) of user addresses. */
static bool hv_slot_frames(const struct hv_memslot *slot, u64 start, u64 end, hv_gfn_t *first,
			   hv_gfn_t *last)
{
	u64 slot_end = slot->hva + (slot->npages << PAGE_SHIFT);

	start = max(start, slot->hva);
	end = min(end, slot_end);
	if (start >= end)
		return false;
	*first = slot->base_gfn + ((start - slot->hva) >> PAGE_SHIFT);
	*last = slot->base_gfn + ((end - slot->hva + PAGE_SIZE - 1) >> PAGE_SHIFT);
	return true;
}

/* The smallest range of frames that holds all of [start, end); false if no slot has any. */
static bool hv_frames_union(const struct hv_memslots *slots, u64 start, u64 end, hv_gfn_t *first,
			    hv_gfn_t *last)
{
	hv_gfn_t a, b;
	u32 i;

	*first = ~0ULL;
	*last = 0;
	for (i = 0; i < slots->nr; i++) {
		if (!hv_slot_frames(slots->slot[i], start, end, &a, &b))
			continue;
		*first = min(*first, a);
		*last = max(*last, b);
	}
	return *first < *last;
}

static void hv_zap_user_range(struct hv_vm *vm, const struct hv_memslots *slots, u64 start, u64 end,
			      bool may_sleep)
{
	hv_gfn_t first, last, a, b;
	struct hv_zap zap;
	u32 i;

	if (!hv_frames_union(slots, start, end, &first, &last))
		return;
	hv_zap_init(&zap);
	spin_lock(&vm->mmu.lock);
	hv_mmu_invalidate_frames(vm, first, last);
	for (i = 0; i < slots->nr; i++)
		if (hv_slot_frames(slots->slot[i], start, end, &a, &b))
			hv_zap_frames(vm, &zap, a, b);
	hv_zap_flush(vm, &zap);
	spin_unlock(&vm->mmu.lock);
	hv_zap_finish(vm, &zap, may_sleep);
}

static struct hv_vm *hv_notifier_vm(struct mmu_notifier *mn)
{
	return container_of(mn, struct hv_vm, mmu_notifier);
}

static int hv_invalidate_range_start(struct mmu_notifier *mn,
				     const struct mmu_notifier_range *range)
{
	struct hv_vm *vm = hv_notifier_vm(mn);
	unsigned int as;
	int idx;

	hv_mmu_invalidate_begin(vm, range->start, range->end);
	idx = srcu_read_lock(&vm->srcu);
	for (as = 0; as < HV_NR_AS; as++)
		hv_zap_user_range(vm, hv_memslots(vm, as), range->start, range->end,
				  mmu_notifier_range_blockable(range));
	srcu_read_unlock(&vm->srcu, idx);
	return 0;
}

static void hv_invalidate_range_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	hv_mmu_invalidate_end(hv_notifier_vm(mn));
}

/* Has a leaf in the frames been used since the last look? @clear: forget it. */
static bool hv_age_frames(struct hv_vm *vm, hv_gfn_t start, hv_gfn_t end, bool clear)
{
	struct hv_leaf_iter it = { .vm = vm, .next = start, .end = end };
	u64 accessed = hv_tdp()->accessed;
	bool young = false;
	u64 old;

	while (hv_leaf_next(&it)) {
		old = clear ? hv_tdp_clear(it.entry, accessed) : READ_ONCE(*it.entry);
		young |= !!(old & accessed);
		if (young && !clear)
			break;
	}
	return young;
}

/* Without accessed bits: what is mapped was used; to forget it is to take it out. */
static bool hv_age_frames_blind(struct hv_vm *vm, hv_gfn_t start, hv_gfn_t end, bool clear)
{
	struct hv_leaf_iter it = { .vm = vm, .next = start, .end = end };
	struct hv_zap zap;
	bool young;

	young = hv_leaf_next(&it);
	if (!young || !clear)
		return young;
	hv_zap_init(&zap);
	/* Leaves only, one by one: no table is detached, so nothing needs to be published. */
	do {
		xchg(it.entry, 0);
		zap.leaves[it.level]++;
		zap.flush = true;
	} while (hv_leaf_next(&it));
	hv_zap_flush(vm, &zap);
	hv_zap_finish(vm, &zap, false);
	return true;
}

static bool hv_age_slots(struct hv_vm *vm, const struct hv_memslots *slots, u64 start, u64 end,
			 bool clear)
{
	bool young = false;
	hv_gfn_t a, b;
	u32 i;

	for (i = 0; i < slots->nr; i++) {
		if (!hv_slot_frames(slots->slot[i], start, end, &a, &b))
			continue;
		spin_lock(&vm->mmu.lock);
		if (hv_tdp()->accessed)
			young |= hv_age_frames(vm, a, b, clear);
		else
			young |= hv_age_frames_blind(vm, a, b, clear);
		spin_unlock(&vm->mmu.lock);
	}
	return young;
}

/*
 * No flush after clearing accessed bits: an entry that a TLB still holds looks old until it is
 * loaded again, as it does for the process's own page tables on x86.
 */
static int hv_age(struct mmu_notifier *mn, u64 start, u64 end, bool clear)
{
	struct hv_vm *vm = hv_notifier_vm(mn);
	bool young = false;
	unsigned int as;
	int idx;

	idx = srcu_read_lock(&vm->srcu);
	for (as = 0; as < HV_NR_AS; as++)
		young |= hv_age_slots(vm, hv_memslots(vm, as), start, end, clear);
	srcu_read_unlock(&vm->srcu, idx);
	return young;
}

static int hv_clear_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
			  unsigned long end)
{
	return hv_age(mn, start, end, true);
}

static int hv_test_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long address)
{
	return hv_age(mn, address, address + 1, false);
}

/* The address space is going away while the VM is still open (its descriptor was passed on). */
static void hv_notifier_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct hv_vm *vm = hv_notifier_vm(mn);

	hv_request_all(vm, HV_REQ_VM_DEAD);
	hv_mmu_zap_range(vm, 0, hv_tdp_limit(), true);
}

static const struct mmu_notifier_ops hv_notifier_ops = {
	.release = hv_notifier_release,
	.invalidate_range_start = hv_invalidate_range_start,
	.invalidate_range_end = hv_invalidate_range_end,
	.clear_flush_young = hv_clear_young,
	.clear_young = hv_clear_young,
	.test_young = hv_test_young,
};

int hv_mmu_init(struct hv_vm *vm)
{
	int err;

	err = hv_mmu_tables_init(vm);
	if (err)
		return err;
	vm->mmu_notifier.ops = &hv_notifier_ops;
	err = mmu_notifier_register(&vm->mmu_notifier, vm->mm);
	if (err)
		hv_mmu_tables_free(vm);
	return err;
}

void hv_mmu_destroy(struct hv_vm *vm)
{
	mmu_notifier_unregister(&vm->mmu_notifier, vm->mm);
	hv_mmu_tables_free(vm);
}
