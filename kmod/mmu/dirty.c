// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty logging by write protection; or by the dirty bits, where the CPU notes the pages whose bit
 * it sets.
 *
 * A page of a logging slot is writable only after a write fault, which puts the entry in first and
 * marks the page afterwards. The reader takes the marks first and protects the pages afterwards. So
 * a page that is writable and not marked is about to be marked by the vCPU that made it writable;
 * its writes show up in the next log at the latest, and no write is missed once that vCPU has left
 * KVM_RUN. A vCPU that did not know yet that the slot logs is none: the slots are replaced, and old
 * readers waited for, before the slot is protected.
 *
 * With dirty bits it is the same, with "its bit is clear" in the place of "protected": a bit is
 * set by a write fault, or by the CPU, which has noted the page by the time its vCPU has left the
 * guest. Large leaves are protected all the same, to be split by a fault.
 */

#include <linux/sched.h>

#include "tdp.h"

/* Frames whose entries are looked at under one hold of the lock: 1 GiB, at most 513 tables. */
#define HV_PROTECT_CHUNK	(1UL << 18)

/* What the next write must find clear. */
static u64 hv_protect_bits(int level)
{
	return level == 1 && hv_tdp()->logs_dirty ? hv_tdp()->dirty : hv_tdp()->write;
}

static bool hv_protect_leaf(const struct hv_leaf_iter *it)
{
	u64 bits = hv_protect_bits(it->level);

	return hv_tdp_clear(it->entry, bits) & bits;
}

static bool hv_protect_frames(struct hv_vm *vm, hv_gfn_t start, hv_gfn_t end)
{
	struct hv_leaf_iter it = { .vm = vm, .next = start, .end = end };
	bool flush = false;

	spin_lock(&vm->mmu.lock);
	while (hv_leaf_next(&it))
		flush |= hv_protect_leaf(&it);
	spin_unlock(&vm->mmu.lock);
	return flush;
}

void hv_mmu_write_protect_slot(struct hv_vm *vm, const struct hv_memslot *slot)
{
	hv_gfn_t gfn = slot->base_gfn, end = gfn + slot->npages;
	bool flush = false;

	/*
	 * The lock is dropped now and then: a remover that comes in between only takes entries out,
	 * and flushing at the end is early enough for those we have protected.
	 */
	for (; gfn < end; gfn += HV_PROTECT_CHUNK) {
		flush |= hv_protect_frames(vm, gfn, min(gfn + HV_PROTECT_CHUNK, end));
		cond_resched();
	}
	if (flush)
		hv_mmu_flush_all(vm);
}

bool hv_mmu_rearm_dirty(struct hv_vm *vm, const struct hv_memslot *slot, hv_gfn_t gfn, u64 mask)
{
	struct hv_leaf_iter it = { .vm = vm };
	bool flush = false;

	if (!mask)
		return false;
	it.next = gfn + __ffs(mask);
	it.end = min(gfn + __fls(mask) + 1, slot->base_gfn + slot->npages);
	spin_lock(&vm->mmu.lock);
	while (hv_leaf_next(&it)) {
		/*
		 * A large leaf of a logging slot is read-only already, but for one not split yet.
		 */
		if (it.level == 1 && !(mask & BIT_ULL(it.gfn - gfn)))
			continue;
		flush |= hv_protect_leaf(&it);
	}
	spin_unlock(&vm->mmu.lock);
	return flush;
}
