// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory slots: which ranges of guest-physical memory are which ranges of the process's memory.
 *
 * The table is an immutable sorted array. A change makes a new array, publishes it, makes every
 * running vCPU let go of the old one (HV_REQ_SLOTS) and frees it after vm->srcu's grace period. A
 * slot that goes away is first marked invalid where it stands: faults on it then retry, while the
 * mmu_notifier still finds it, so that its pages cannot be freed under mappings that remain.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "hv.h"
#include "irq/irq.h"
#include "irq/lapic_defs.h"
#include "mmu/mmu.h"
#include "x86/x86.h"

#define HV_SLOT_MAX_PAGES	((1UL << 31) - 1)

struct hv_memslots *hv_memslots(struct hv_vm *vm, unsigned int as)
{
	return srcu_dereference_check(vm->memslots[as], &vm->srcu,
				      lockdep_is_held(&vm->slots_lock) ||
				      !refcount_read(&vm->users));
}

/* How many slots begin at or below @gfn. */
static u32 hv_slots_below(const struct hv_memslots *slots, hv_gfn_t gfn)
{
	u32 low = 0, high = slots->nr;

	while (low < high) {
		u32 mid = low + (high - low) / 2;

		if (slots->slot[mid]->base_gfn <= gfn)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Of the calling thread's vCPU; hardly ever is one in SMM. */
static unsigned int hv_current_as(struct hv_vm *vm)
{
	const struct hv_vcpu *vcpu;

	if (likely(!atomic_read(&vm->nr_smm)))
		return 0;
	vcpu = hv_vcpu_loaded();
	return vcpu && vcpu->vm == vm && vcpu->smm.active;
}

static __always_inline struct hv_memslot *hv_slot_search(const struct hv_memslots *slots,
							 hv_gfn_t gfn)
{
	u32 below = hv_slots_below(slots, gfn);

	if (!below || gfn - slots->slot[below - 1]->base_gfn >= slots->slot[below - 1]->npages)
		return NULL;
	return slots->slot[below - 1];
}

struct hv_memslot *hv_slot_find(struct hv_vm *vm, hv_gfn_t gfn)
{
	return hv_slot_search(hv_memslots(vm, hv_current_as(vm)), gfn);
}

struct hv_memslot *hv_slot_find_as(struct hv_vm *vm, unsigned int as, hv_gfn_t gfn)
{
	return hv_slot_search(hv_memslots(vm, as), gfn);
}

/* ---- access to guest-physical memory -------------------------------------------------------- */

static void __user *hv_guest_hva(struct hv_vm *vm, u64 gpa, struct hv_memslot **slot)
{
	hv_gfn_t gfn = gpa >> PAGE_SHIFT;

	*slot = hv_slot_find(vm, gfn);
	if (!*slot)
		return NULL;
	return (void __user *)(hv_slot_hva(*slot, gfn) + offset_in_page(gpa));
}

int hv_guest_read(struct hv_vm *vm, u64 gpa, void *data, unsigned int len)
{
	while (len) {
		unsigned int part = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(gpa));
		struct hv_memslot *slot;
		void __user *hva = hv_guest_hva(vm, gpa, &slot);

		if (!hva || copy_from_user(data, hva, part))
			return -EFAULT;
		data += part;
		gpa += part;
		len -= part;
	}
	return 0;
}

int hv_guest_read_nofault(struct hv_vm *vm, u64 gpa, void *data, unsigned int len)
{
	unsigned long left = 0;

	while (len && !left) {
		unsigned int part = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(gpa));
		struct hv_memslot *slot;
		void __user *hva = hv_guest_hva(vm, gpa, &slot);

		if (!hva)
			return -EFAULT;
		pagefault_disable();
		left = __copy_from_user_inatomic(data, hva, part);
		pagefault_enable();
		data += part;
		gpa += part;
		len -= part;
	}
	return left ? -EFAULT : 0;
}

int hv_guest_read_u64_nofault(struct hv_vm *vm, u64 gpa, u64 *val)
{
	struct hv_memslot *slot;
	u64 __user *hva = hv_guest_hva(vm, gpa, &slot);
	int r;

	if (!hva)
		return -EFAULT;
	pagefault_disable();
	r = __get_user(*val, hva);
	pagefault_enable();
	return r;
}

int hv_guest_write(struct hv_vm *vm, u64 gpa, const void *data, unsigned int len)
{
	while (len) {
		unsigned int part = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(gpa));
		struct hv_memslot *slot;
		void __user *hva = hv_guest_hva(vm, gpa, &slot);

		if (!hva || (slot->flags & KVM_MEM_READONLY) || copy_to_user(hva, data, part))
			return -EFAULT;
		hv_slot_mark_dirty(vm, slot, gpa >> PAGE_SHIFT);
		data += part;
		gpa += part;
		len -= part;
	}
	return 0;
}

int hv_guest_write_nofault(struct hv_vm *vm, u64 gpa, const void *data, unsigned int len)
{
	unsigned long left = 0;

	while (len && !left) {
		unsigned int part = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(gpa));
		struct hv_memslot *slot;
		void __user *hva = hv_guest_hva(vm, gpa, &slot);

		if (!hva || (slot->flags & KVM_MEM_READONLY))
			return -EFAULT;
		pagefault_disable();
		left = __copy_to_user_inatomic(hva, data, part);
		pagefault_enable();
		if (!left)
			hv_slot_mark_dirty(vm, slot, gpa >> PAGE_SHIFT);
		data += part;
		gpa += part;
		len -= part;
	}
	return left ? -EFAULT : 0;
}

/* r: 0 exchanged, 1 differed, -EFAULT; a label for each size, which the macro defines. */
#define HV_CMPXCHG_USER(type)								\
do {											\
	type expected = *old;								\
											\
	r = __try_cmpxchg_user((type __user *)hva, &expected, (type)new, fault_##type);	\
	*old = expected;								\
} while (0)

int hv_guest_cmpxchg(struct hv_vm *vm, u64 gpa, u64 *old, u64 new, unsigned int size)
{
	struct hv_memslot *slot;
	void __user *hva = hv_guest_hva(vm, gpa, &slot);
	int r;

	if (!hva || (slot->flags & KVM_MEM_READONLY) || (gpa & (size - 1)))
		return -EFAULT;
	switch (size) {
	case 1:
		HV_CMPXCHG_USER(u8);
		break;
	case 2:
		HV_CMPXCHG_USER(u16);
		break;
	case 4:
		HV_CMPXCHG_USER(u32);
		break;
	case 8:
		HV_CMPXCHG_USER(u64);
		break;
	default:
		return -EFAULT;
	}
	if (!r)
		hv_slot_mark_dirty(vm, slot, gpa >> PAGE_SHIFT);
	return r;
}

/* ---- changing the table -------------------------------------------------------------------- */

static void hv_slot_free(struct hv_memslot *slot)
{
	if (!slot)
		return;
	kvfree(slot->dirty);
	kfree(slot);
}

/* A copy of the table without @del and with @add (either may be NULL), in order. */
static struct hv_memslots *hv_slots_copy(const struct hv_memslots *old,
					 const struct hv_memslot *del, struct hv_memslot *add)
{
	u32 i, nr = old->nr - !!del + !!add;
	struct hv_memslots *slots;

	slots = kvmalloc(struct_size(slots, slot, nr), GFP_KERNEL_ACCOUNT);
	if (!slots)
		return NULL;
	slots->generation = old->generation + 1;
	slots->nr = 0;
	for (i = 0; i < old->nr; i++) {
		if (add && old->slot[i]->base_gfn > add->base_gfn) {
			slots->slot[slots->nr++] = add;
			add = NULL;
		}
		if (old->slot[i] != del)
			slots->slot[slots->nr++] = old->slot[i];
	}
	if (add)
		slots->slot[slots->nr++] = add;
	return slots;
}

/* Slot numbers have the address space in their upper half. */
static unsigned int hv_slot_as(u32 id)
{
	return id >> 16;
}

static void hv_slots_publish(struct hv_vm *vm, unsigned int as, struct hv_memslots *slots)
{
	struct hv_memslots *old = hv_memslots(vm, as);

	rcu_assign_pointer(vm->memslots[as], slots);
	hv_vcpus_quiesce(vm);
	kvfree(old);
}

/* A slot logs from now on (or no longer): the first one, and the last, concern the vCPUs. */
static void hv_slot_logging(struct hv_vm *vm, const struct hv_memslot *slot, bool on)
{
	int nr;

	if (!hv_slot_logs(slot))
		return;
	nr = on ? atomic_inc_return(&vm->nr_logging) - 1 : atomic_dec_return(&vm->nr_logging);
	if (!nr)
		hv_request_all(vm, HV_REQ_UPDATE);
}

/* There is a new slot, and who looks for its frames finds it: the APIC's page gives way. */
static void hv_slot_uncover(struct hv_vm *vm, const struct hv_memslot *slot)
{
	u64 apic = HV_APIC_DEFAULT_BASE >> PAGE_SHIFT;

	if (apic >= slot->base_gfn && apic < slot->base_gfn + slot->npages)
		hv_apic_page_unmap(vm);
}

/* Faults on the slot retry from now on and nothing of it is mapped any more. */
static void hv_slot_retire(struct hv_vm *vm, struct hv_memslot *slot)
{
	WRITE_ONCE(slot->invalid, true);
	hv_vcpus_quiesce(vm);
	hv_mmu_zap_slot(vm, slot);
}

struct hv_memslot *hv_slot_by_id(struct hv_vm *vm, u32 id)
{
	return xa_load(&vm->slot_ids, id);
}

/* Slots do not overlap each other, so only the neighbours of the new one can overlap it. */
static bool hv_slot_overlaps(struct hv_vm *vm, const struct hv_memslot *new,
			     const struct hv_memslot *ignore)
{
	const struct hv_memslots *slots = hv_memslots(vm, hv_slot_as(new->id));
	u32 i = hv_slots_below(slots, new->base_gfn + new->npages - 1);

	while (i--) {
		const struct hv_memslot *s = slots->slot[i];

		if (s == ignore)
			continue;
		return s->base_gfn + s->npages > new->base_gfn;
	}
	return false;
}

static int hv_slot_validate(const struct kvm_userspace_memory_region2 *mem)
{
	u64 last;

	if (mem->flags & ~(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY))
		return -EINVAL;
	if ((mem->memory_size | mem->guest_phys_addr | mem->userspace_addr) & ~PAGE_MASK)
		return -EINVAL;
	if (hv_slot_as(mem->slot) >= HV_NR_AS || (mem->slot & 0xffff) >= HV_USER_SLOTS)
		return -EINVAL;
	if (!access_ok((void __user *)(unsigned long)mem->userspace_addr, mem->memory_size) ||
	    mem->userspace_addr != untagged_addr(mem->userspace_addr))
		return -EINVAL;
	if (mem->guest_phys_addr + mem->memory_size < mem->guest_phys_addr)
		return -EINVAL;
	if (mem->memory_size >> PAGE_SHIFT > HV_SLOT_MAX_PAGES)
		return -EINVAL;
	last = mem->guest_phys_addr + mem->memory_size - 1;
	if (mem->memory_size && last >> hv_caps.maxphyaddr)
		return -EINVAL;
	return 0;
}

static int hv_slot_delete(struct hv_vm *vm, struct hv_memslot *old)
{
	struct hv_memslots *slots;

	if (!old)
		return -EINVAL;
	slots = hv_slots_copy(hv_memslots(vm, hv_slot_as(old->id)), old, NULL);
	if (!slots)
		return -ENOMEM;
	hv_slot_retire(vm, old);
	hv_slots_publish(vm, hv_slot_as(old->id), slots);
	xa_erase(&vm->slot_ids, old->id);
	vm->nr_slot_pages -= old->npages;
	hv_slot_logging(vm, old, false);
	hv_slot_free(old);
	return 0;
}

static struct hv_memslot *hv_slot_alloc(const struct hv_vm *vm,
					const struct kvm_userspace_memory_region2 *mem)
{
	struct hv_memslot *slot = kzalloc(sizeof(*slot), GFP_KERNEL_ACCOUNT);

	if (!slot)
		return NULL;
	slot->base_gfn = mem->guest_phys_addr >> PAGE_SHIFT;
	slot->npages = mem->memory_size >> PAGE_SHIFT;
	slot->hva = mem->userspace_addr;
	slot->flags = mem->flags;
	slot->id = mem->slot;
	if (hv_slot_logs(slot) && !vm->dirty_ring_entries) {
		slot->dirty = kvcalloc(BITS_TO_LONGS(slot->npages), sizeof(long),
				       GFP_KERNEL_ACCOUNT);
		if (!slot->dirty) {
			kfree(slot);
			return NULL;
		}
		if (vm->manual_dirty_log & KVM_DIRTY_LOG_INITIALLY_SET)
			bitmap_fill(slot->dirty, slot->npages);
	}
	return slot;
}

/* The same pages with other flags, or at another place: @new takes over from @old. */
static int hv_slot_replace(struct hv_vm *vm, struct hv_memslot *old, struct hv_memslot *new)
{
	bool moved = new->base_gfn != old->base_gfn;
	unsigned int as = hv_slot_as(new->id);
	struct hv_memslots *slots = hv_slots_copy(hv_memslots(vm, as), old, new);

	if (!slots)
		return -ENOMEM;
	if (moved)
		hv_slot_retire(vm, old);
	hv_slot_logging(vm, new, true);
	hv_slots_publish(vm, as, slots);
	hv_slot_logging(vm, old, false);
	if (moved)
		hv_slot_uncover(vm, new);
	/* There is an entry already: nothing to allocate. */
	xa_store(&vm->slot_ids, new->id, new, GFP_KERNEL_ACCOUNT);
	/* Pages that are in the log already are protected when user space takes them out of it. */
	if (!moved && hv_slot_logs(new)) {
		if (!(vm->manual_dirty_log & KVM_DIRTY_LOG_INITIALLY_SET) || !new->dirty)
			hv_mmu_write_protect_slot(vm, new);
	} else if (!moved) {
		hv_mmu_zap_slot(vm, new);	/* large pages are allowed again */
	}
	hv_slot_free(old);
	return 0;
}

static int hv_slot_add(struct hv_vm *vm, struct hv_memslot *new)
{
	struct hv_memslots *slots;
	int r = xa_err(xa_store(&vm->slot_ids, new->id, new, GFP_KERNEL_ACCOUNT));

	if (r)
		return r;
	slots = hv_slots_copy(hv_memslots(vm, hv_slot_as(new->id)), NULL, new);
	if (!slots) {
		xa_erase(&vm->slot_ids, new->id);
		return -ENOMEM;
	}
	hv_slot_logging(vm, new, true);
	hv_slots_publish(vm, hv_slot_as(new->id), slots);
	hv_slot_uncover(vm, new);
	vm->nr_slot_pages += new->npages;
	return 0;
}

static int hv_slot_change(struct hv_vm *vm, const struct kvm_userspace_memory_region2 *mem)
{
	struct hv_memslot *old = hv_slot_by_id(vm, mem->slot);
	struct hv_memslot *new;
	int r;

	if (!mem->memory_size)
		return hv_slot_delete(vm, old);
	if (old) {
		if (mem->userspace_addr != old->hva ||
		    mem->memory_size >> PAGE_SHIFT != old->npages ||
		    ((mem->flags ^ old->flags) & KVM_MEM_READONLY))
			return -EINVAL;
		if (mem->guest_phys_addr >> PAGE_SHIFT == old->base_gfn &&
		    mem->flags == old->flags)
			return 0;
	}
	new = hv_slot_alloc(vm, mem);
	if (!new)
		return -ENOMEM;
	if (hv_slot_overlaps(vm, new, old))
		r = -EEXIST;
	else
		r = old ? hv_slot_replace(vm, old, new) : hv_slot_add(vm, new);
	if (r)
		hv_slot_free(new);
	return r;
}

int hv_slot_set(struct hv_vm *vm, const struct kvm_userspace_memory_region2 *mem)
{
	int r = hv_slot_validate(mem);

	if (r)
		return r;
	mutex_lock(&vm->slots_lock);
	r = hv_slot_change(vm, mem);
	mutex_unlock(&vm->slots_lock);
	return r;
}

/* ---- life ---------------------------------------------------------------------------------- */

int hv_slots_init(struct hv_vm *vm)
{
	struct hv_memslots *slots;
	unsigned int as;

	xa_init(&vm->slot_ids);
	for (as = 0; as < HV_NR_AS; as++) {
		slots = kvzalloc(sizeof(*slots), GFP_KERNEL_ACCOUNT);
		if (!slots) {
			hv_slots_free(vm);
			return -ENOMEM;
		}
		rcu_assign_pointer(vm->memslots[as], slots);
	}
	return 0;
}

void hv_slots_free(struct hv_vm *vm)
{
	struct hv_memslots *slots;
	unsigned int as;
	u32 i;

	for (as = 0; as < HV_NR_AS; as++) {
		slots = rcu_dereference_protected(vm->memslots[as], 1);
		for (i = 0; slots && i < slots->nr; i++)
			hv_slot_free(slots->slot[i]);
		kvfree(slots);
		RCU_INIT_POINTER(vm->memslots[as], NULL);
	}
	xa_destroy(&vm->slot_ids);
}
