// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty rings (KVM_CAP_DIRTY_LOG_RING): each vCPU tells which pages it has written to, in a ring
 * that user space maps. The vCPU's thread fills entries and sets DIRTY; user space reads them in
 * order and sets RESET; KVM_RESET_DIRTY_RINGS takes those, frees the entries and protects their
 * pages again.
 *
 * dirty_index belongs to the vCPU's thread, reset_index to who holds vm->slots_lock. What user
 * space writes into an entry is only ever a hint which page to protect.
 */
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/vmalloc.h>

#include "hv.h"
#include "mmu/mmu.h"

#define HV_RING_MAX_ENTRIES	65536
/*
 * An exit may write to a few pages more than there was room for: KVM_RUN ends when only these are
 * left. The most that one exit can write is a string instruction's batch.
 */
#define HV_RING_RESERVED	64

int hv_dirty_ring_max_bytes(void)
{
	return HV_RING_MAX_ENTRIES * sizeof(struct kvm_dirty_gfn);
}

int hv_dirty_ring_enable(struct hv_vm *vm, u64 bytes)
{
	if (!bytes || (bytes & (bytes - 1)) || bytes < PAGE_SIZE ||
	    bytes < HV_RING_RESERVED * sizeof(struct kvm_dirty_gfn))
		return -EINVAL;
	if (bytes > hv_dirty_ring_max_bytes())
		return -E2BIG;
	/* vCPUs have their rings from the beginning, slots their bitmap. */
	if (vm->dirty_ring_entries || vm->created_vcpus)
		return -EINVAL;
	mutex_lock(&vm->slots_lock);
	WRITE_ONCE(vm->dirty_ring_entries, bytes / sizeof(struct kvm_dirty_gfn));
	mutex_unlock(&vm->slots_lock);
	return 0;
}

int hv_dirty_ring_init(struct hv_vcpu *vcpu)
{
	struct hv_dirty_ring *ring = &vcpu->dirty_ring;

	ring->entries = vcpu->vm->dirty_ring_entries;
	if (!ring->entries)
		return 0;
	ring->gfns = __vmalloc(ring->entries * sizeof(*ring->gfns),
			       GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	return ring->gfns ? 0 : -ENOMEM;
}

void hv_dirty_ring_free(struct hv_vcpu *vcpu)
{
	vfree(vcpu->dirty_ring.gfns);
}

struct page *hv_dirty_ring_page(struct hv_vcpu *vcpu, unsigned long index)
{
	struct hv_dirty_ring *ring = &vcpu->dirty_ring;

	if (index >= ring->entries * sizeof(*ring->gfns) / PAGE_SIZE)
		return NULL;
	return vmalloc_to_page((void *)ring->gfns + index * PAGE_SIZE);
}

static u32 hv_ring_used(const struct hv_dirty_ring *ring)
{
	return READ_ONCE(ring->dirty_index) - READ_ONCE(ring->reset_index);
}

bool hv_dirty_ring_full(const struct hv_vcpu *vcpu)
{
	const struct hv_dirty_ring *ring = &vcpu->dirty_ring;

	return ring->entries && hv_ring_used(ring) >= ring->entries - HV_RING_RESERVED;
}

u32 hv_dirty_ring_room(const struct hv_vcpu *vcpu)
{
	const struct hv_dirty_ring *ring = &vcpu->dirty_ring;

	if (!ring->entries)
		return U32_MAX;
	return hv_dirty_ring_full(vcpu) ? 0 :
		ring->entries - HV_RING_RESERVED - hv_ring_used(ring);
}

/* Is the newest entry this page, and not yet collected? Then it will be, after our write. */
static bool hv_ring_repeats(const struct hv_dirty_ring *ring, u32 slot, u64 offset)
{
	const struct kvm_dirty_gfn *last = &ring->gfns[(ring->dirty_index - 1) % ring->entries];

	return hv_ring_used(ring) && READ_ONCE(last->flags) == KVM_DIRTY_GFN_F_DIRTY &&
	       READ_ONCE(last->slot) == slot && READ_ONCE(last->offset) == offset;
}

static void hv_ring_push(struct hv_vcpu *vcpu, u32 slot, u64 offset)
{
	struct hv_dirty_ring *ring = &vcpu->dirty_ring;
	struct kvm_dirty_gfn *entry;

	if (hv_ring_repeats(ring, slot, offset))
		return;
	/* User space that fills the ring by ioctls and never empties it does without the rest. */
	if (hv_ring_used(ring) >= ring->entries)
		return;
	entry = &ring->gfns[ring->dirty_index % ring->entries];
	WRITE_ONCE(entry->slot, slot);
	WRITE_ONCE(entry->offset, offset);
	/* User space must not see the flag before the rest. */
	smp_store_release(&entry->flags, KVM_DIRTY_GFN_F_DIRTY);
	WRITE_ONCE(ring->dirty_index, ring->dirty_index + 1);
	if (hv_dirty_ring_full(vcpu))
		hv_request(vcpu, HV_REQ_RING_FULL);
}

void hv_dirty_ring_push(struct hv_vm *vm, u32 slot, u64 offset)
{
	struct hv_vcpu *vcpu = hv_vcpu_loaded();

	/* Only vCPUs write to guest memory. */
	if (WARN_ON_ONCE(!vcpu || vcpu->vm != vm))
		return;
	/* A thread that loses its CPU here writes steal time's mark, and comes here again. */
	preempt_disable();
	hv_ring_push(vcpu, slot, offset);
	preempt_enable();
}

/* Pages of one slot within 64 of each other are protected under one hold of the lock. */
struct hv_ring_batch {
	u32 slot;
	u64 first, mask;
};

static bool hv_batch_protect(struct hv_vm *vm, const struct hv_ring_batch *batch)
{
	const struct hv_memslot *slot = batch->mask ? hv_slot_by_id(vm, batch->slot) : NULL;

	if (!slot || batch->first >= slot->npages)
		return false;
	return hv_mmu_rearm_dirty(vm, slot, slot->base_gfn + batch->first, batch->mask);
}

static bool hv_batch_add(struct hv_vm *vm, struct hv_ring_batch *batch, u32 slot, u64 offset)
{
	bool flush;

	if (batch->mask && slot == batch->slot && offset - batch->first < BITS_PER_LONG) {
		batch->mask |= BIT_ULL(offset - batch->first);
		return false;
	}
	flush = hv_batch_protect(vm, batch);
	*batch = (struct hv_ring_batch) { .slot = slot, .first = offset, .mask = 1 };
	return flush;
}

/* Returns the number of entries freed. */
static int hv_ring_reset(struct hv_vm *vm, struct hv_dirty_ring *ring, bool *flush)
{
	struct hv_ring_batch batch = {};
	struct kvm_dirty_gfn *entry;
	int count = 0;
	u64 offset;
	u32 slot;

	/* At most one round, however fast user space and the vCPU are. */
	while (count < ring->entries) {
		entry = &ring->gfns[ring->reset_index % ring->entries];
		if (!(smp_load_acquire(&entry->flags) & KVM_DIRTY_GFN_F_RESET))
			break;
		slot = READ_ONCE(entry->slot);
		offset = READ_ONCE(entry->offset);
		WRITE_ONCE(entry->flags, 0);
		WRITE_ONCE(ring->reset_index, ring->reset_index + 1);
		count++;
		*flush |= hv_batch_add(vm, &batch, slot, offset);
		cond_resched();
	}
	*flush |= hv_batch_protect(vm, &batch);
	return count;
}

int hv_dirty_rings_reset(struct hv_vm *vm)
{
	struct hv_vcpu *vcpu;
	bool flush = false;
	unsigned long i;
	int count = 0;

	if (!vm->dirty_ring_entries)
		return -EINVAL;
	mutex_lock(&vm->slots_lock);
	hv_for_each_vcpu(vm, vcpu, i)
		count += hv_ring_reset(vm, &vcpu->dirty_ring, &flush);
	if (flush)
		hv_mmu_flush_all(vm);
	mutex_unlock(&vm->slots_lock);
	return count;
}
