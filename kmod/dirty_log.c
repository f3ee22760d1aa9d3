// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which pages the guest has written to: a bitmap per slot, read by KVM_GET_DIRTY_LOG and (with
 * manual protection) cleared by KVM_CLEAR_DIRTY_LOG; or a ring per vCPU (dirty_ring.c).
 */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "hv.h"
#include "mmu/mmu.h"

void hv_slot_mark_dirty(struct hv_vm *vm, struct hv_memslot *slot, hv_gfn_t gfn)
{
	u64 bit = gfn - slot->base_gfn;

	if (!hv_slot_logs(slot))
		return;
	/*
	 * What was written to the page before the look at the log: a reader that has just cleared
	 * the bit (or taken the entry) must see the write, or we must see it gone.
	 */
	smp_mb();
	if (!slot->dirty)
		hv_dirty_ring_push(vm, slot->id, bit);
	else if (!test_bit(bit, slot->dirty))
		set_bit(bit, slot->dirty);
}

/*
 * Take the slot's dirty bits word by word: clear a word, write-protect its pages again, then flush.
 * A write after the flush faults and sets the bit anew, one before it is in the copy. With manual
 * protection nothing is cleared: user space will say which bits it has dealt with.
 */
static int hv_slot_take_dirty(struct hv_vm *vm, struct hv_memslot *slot, void __user *to)
{
	unsigned long i, n = BITS_TO_LONGS(slot->npages);
	unsigned long *copy;
	bool flush = false;
	int r;

	copy = kvcalloc(n, sizeof(long), GFP_KERNEL_ACCOUNT);
	if (!copy)
		return -ENOMEM;
	/* Out of the guest, whatever for: the CPU's own logs are emptied then. */
	if (hv_ops.tdp.logs_dirty)
		hv_request_all(vm, HV_REQ_EVENT);
	for (i = 0; i < n; i++) {
		copy[i] = READ_ONCE(slot->dirty[i]);
		if (!copy[i] || vm->manual_dirty_log)
			continue;
		copy[i] = xchg(&slot->dirty[i], 0);
		flush |= hv_mmu_rearm_dirty(vm, slot, slot->base_gfn + i * BITS_PER_LONG, copy[i]);
		cond_resched();
	}
	if (flush)
		hv_mmu_flush_all(vm);
	r = copy_to_user(to, copy, n * sizeof(long)) ? -EFAULT : 0;
	kvfree(copy);
	return r;
}

/* The slot whose log is meant, or an error. slots_lock held. */
static struct hv_memslot *hv_logging_slot(struct hv_vm *vm, u32 id)
{
	struct hv_memslot *slot;

	if (vm->dirty_ring_entries)
		return ERR_PTR(-ENXIO);		/* there is no bitmap */
	if ((id >> 16) >= HV_NR_AS || (id & 0xffff) >= HV_USER_SLOTS)
		return ERR_PTR(-EINVAL);
	slot = hv_slot_by_id(vm, id);
	return slot && slot->dirty ? slot : ERR_PTR(-ENOENT);
}

int hv_slot_get_dirty_log(struct hv_vm *vm, struct kvm_dirty_log *log)
{
	struct hv_memslot *slot;
	int r;

	mutex_lock(&vm->slots_lock);
	slot = hv_logging_slot(vm, log->slot);
	r = PTR_ERR_OR_ZERO(slot);
	if (!r)
		r = hv_slot_take_dirty(vm, slot, log->dirty_bitmap);
	mutex_unlock(&vm->slots_lock);
	return r;
}

/* Whole words of pages, but for the slot's last ones. */
static bool hv_clear_valid(const struct hv_memslot *slot, const struct kvm_clear_dirty_log *log)
{
	u64 left;

	if (log->first_page & (BITS_PER_LONG - 1) || log->first_page > slot->npages)
		return false;
	left = slot->npages - log->first_page;
	return log->num_pages == left ||
	       (log->num_pages < left && !(log->num_pages & (BITS_PER_LONG - 1)));
}

/* Take the bits that user space names out of the log and protect their pages. */
static int hv_slot_clear_dirty(struct hv_vm *vm, struct hv_memslot *slot,
			       const struct kvm_clear_dirty_log *log)
{
	unsigned long i, n = BITS_TO_LONGS(log->num_pages), *copy;
	unsigned long first = log->first_page / BITS_PER_LONG;
	bool flush = false;

	copy = kvmalloc_array(n ?: 1, sizeof(long), GFP_KERNEL_ACCOUNT);
	if (!copy)
		return -ENOMEM;
	if (copy_from_user(copy, log->dirty_bitmap, n * sizeof(long))) {
		kvfree(copy);
		return -EFAULT;
	}
	for (i = 0; i < n; i++) {
		unsigned long mask = copy[i];
		hv_gfn_t gfn = slot->base_gfn + log->first_page + i * BITS_PER_LONG;

		if (!mask)
			continue;
		/* Bits beyond the slot are never set. */
		mask &= atomic_long_fetch_andnot(mask, (atomic_long_t *)&slot->dirty[first + i]);
		flush |= hv_mmu_rearm_dirty(vm, slot, gfn, mask);
		cond_resched();
	}
	if (flush)
		hv_mmu_flush_all(vm);
	kvfree(copy);
	return 0;
}

int hv_slot_clear_dirty_log(struct hv_vm *vm, const struct kvm_clear_dirty_log *log)
{
	struct hv_memslot *slot;
	int r;

	mutex_lock(&vm->slots_lock);
	slot = hv_logging_slot(vm, log->slot);
	r = PTR_ERR_OR_ZERO(slot);
	if (!r && !hv_clear_valid(slot, log))
		r = -EINVAL;
	if (!r)
		r = hv_slot_clear_dirty(vm, slot, log);
	mutex_unlock(&vm->slots_lock);
	return r;
}

int hv_dirty_set_manual(struct hv_vm *vm, u64 flags)
{
	u64 valid = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;

	/* The second option makes sense with the first only. */
	if (flags & valid)
		valid |= KVM_DIRTY_LOG_INITIALLY_SET;
	if (flags & ~valid)
		return -EINVAL;
	mutex_lock(&vm->slots_lock);
	vm->manual_dirty_log = flags;
	mutex_unlock(&vm->slots_lock);
	return 0;
}
