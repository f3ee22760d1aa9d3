// SPDX-License-Identifier: GPL-2.0-only
/* A second-level fault: find the page of the process's memory behind the frame and map it. */

#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/swap.h>

#include "../compat/gup.h"
#include "../x86/x86.h"
#include "tdp.h"

/* What became of the look-up besides -errno. */
enum hv_lookup {
	HV_LOOKUP_OK,
	HV_LOOKUP_SLEEP,	/* not without sleeping */
	HV_LOOKUP_AGAIN,	/* something changed meanwhile: let the guest try again */
};

static bool hv_lookup_fast(struct hv_map *map, bool write, struct page **page)
{
	if (!get_user_page_fast_only(map->hva, write ? FOLL_WRITE : 0, page))
		return false;
	map->pfn = page_to_pfn(*page);
	map->writable = write;
	return true;
}

/* Memory without struct page, or whose struct page is not for us: device mappings. */
static int hv_lookup_pfnmap(struct hv_map *map, struct mm_struct *mm)
{
	bool write = map->access & HV_ACCESS_WRITE;
	struct vm_area_struct *vma;
	bool unlocked = false;
	int ret;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, map->hva);
	ret = -EFAULT;
	if (!vma || !(vma->vm_flags & (VM_IO | VM_PFNMAP)) ||
	    !(vma->vm_flags & (write ? VM_WRITE : VM_READ)))
		goto out;
	ret = hv_follow_pfnmap(vma, map->hva, &map->pfn, &map->writable);
	if (ret || (write && !map->writable)) {
		ret = fixup_user_fault(mm, map->hva, write ? FAULT_FLAG_WRITE : 0, &unlocked);
		if (!ret)
			ret = HV_LOOKUP_AGAIN;
		goto out;
	}
	map->uncached = !pfn_valid(map->pfn);
	ret = HV_LOOKUP_OK;
out:
	mmap_read_unlock(mm);
	return ret;
}

static int hv_lookup_slow(struct hv_map *map, struct mm_struct *mm, bool may_write,
			  struct page **page)
{
	bool write = map->access & HV_ACCESS_WRITE;
	unsigned int flags = FOLL_HWPOISON | HV_FOLL_NUMA | HV_FOLL_INTERRUPTIBLE;
	struct page *first;
	long n;

	if (write)
		flags |= FOLL_WRITE;
	n = get_user_pages_unlocked(map->hva, 1, &first, flags);
	if (n == 0 || n == -EAGAIN)
		return HV_LOOKUP_AGAIN;
	if (n == -EHWPOISON || n == -EINTR || n == -ENOMEM)
		return n;
	if (n < 0)
		return fatal_signal_pending(current) ? -EINTR : hv_lookup_pfnmap(map, mm);
	if (!write && may_write && hv_lookup_fast(map, true, page)) {
		put_page(first);
		return HV_LOOKUP_OK;
	}
	*page = first;
	map->pfn = page_to_pfn(first);
	map->writable = write;
	return HV_LOOKUP_OK;
}

/*
 * As far as that goes without waiting for a device or for anybody: HV_LOOKUP_OK, HV_LOOKUP_SLEEP
 * where it would have to wait, HV_LOOKUP_AGAIN for everything else.
 */
static int hv_lookup_nowait(struct hv_map *map, struct page **page)
{
	bool write = map->access & HV_ACCESS_WRITE;
	unsigned int flags = FOLL_NOWAIT | HV_FOLL_NUMA | (write ? FOLL_WRITE : 0);
	long n = get_user_pages_unlocked(map->hva, 1, page, flags);

	if (!n || n == -EAGAIN)
		return HV_LOOKUP_SLEEP;
	if (n < 0)
		return HV_LOOKUP_AGAIN;
	map->pfn = page_to_pfn(*page);
	map->writable = write;
	return HV_LOOKUP_OK;
}

/*
 * Fill in pfn, writable and uncached; *page gets a reference, or NULL. A page that the process may
 * write to now is mapped so at once, even for a read: it saves the second fault.
 */
static int hv_lookup(struct hv_map *map, struct mm_struct *mm, bool may_write, bool may_sleep,
		     struct page **page)
{
	*page = NULL;
	/* Every fault is tried without sleeping first, so that has just failed. */
	if (may_sleep)
		return hv_lookup_slow(map, mm, may_write, page);
	if (may_write && hv_lookup_fast(map, true, page))
		return HV_LOOKUP_OK;
	if (!(map->access & HV_ACCESS_WRITE) && hv_lookup_fast(map, false, page))
		return HV_LOOKUP_OK;
	return HV_LOOKUP_SLEEP;
}

/* Level at which the process's own page tables map @hva. */
static int hv_host_level(struct mm_struct *mm, u64 hva)
{
	unsigned long flags;
	int level = 1;
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	/* Interrupts off: the tables are not freed before all CPUs answered an IPI. */
	local_irq_save(flags);
	pgd = READ_ONCE(*pgd_offset(mm, hva));
	if (pgd_none(pgd))
		goto out;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (p4d_none(p4d) || !p4d_present(p4d))
		goto out;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (pud_none(pud) || !pud_present(pud))
		goto out;
	if (pud_leaf(pud)) {
		level = 3;
		goto out;
	}
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	if (!pmd_none(pmd) && pmd_present(pmd) && pmd_leaf(pmd))
		level = 2;
out:
	local_irq_restore(flags);
	return level;
}

/* Does the slot hold the whole range of a leaf at @level, with frames and addresses in step? */
static bool hv_slot_allows_level(const struct hv_memslot *slot, const struct hv_map *map, int level)
{
	u64 mask = hv_tdp_pages(level) - 1;
	hv_gfn_t base = map->gfn & ~mask;

	return base >= slot->base_gfn && base + mask < slot->base_gfn + slot->npages &&
	       !((map->gfn ^ (map->hva >> PAGE_SHIFT)) & mask) && !((map->gfn ^ map->pfn) & mask);
}

/*
 * The host's mapping may change right after it was looked at: then there is an invalidation of all
 * of the large page, and the gate finds the look-up stale.
 */
static int hv_map_level(const struct hv_memslot *slot, const struct hv_map *map,
			struct mm_struct *mm, struct page *page)
{
	int level;

	if (hv_slot_logs(slot) || !page || !PageCompound(page))
		return 1;
	if ((map->access & HV_ACCESS_FETCH) && hv_tdp()->small_exec)
		return 1;
	level = min_t(int, hv_host_level(mm, map->hva), hv_tdp()->max_leaf_level);
	while (level > 1 && !hv_slot_allows_level(slot, map, level))
		level--;
	return level;
}

/*
 * The guest will use the page, and may change it, without the process's own page table saying so.
 */
static void hv_page_release(struct page *page, const struct hv_map *map)
{
	if (map->writable && !PageReserved(page) && !PageDirty(page))
		SetPageDirty(page);
	mark_page_accessed(page);
	put_page(page);
}

static int hv_mmu_finish(struct hv_vcpu *vcpu, struct hv_memslot *slot, struct hv_map *map)
{
	switch (hv_mmu_map(vcpu, map)) {
	case HV_MAP_DONE:
		/* After the entry is in: see dirty.c. */
		if (hv_slot_logs(slot) && (map->access & HV_ACCESS_WRITE))
			hv_slot_mark_dirty(vcpu->vm, slot, map->gfn);
		break;
	case HV_MAP_SPURIOUS:
		/* Another vCPU was faster, or our TLB remembers less than the entry allows. */
		hv_request(vcpu, HV_REQ_TLB_FLUSH);
		break;
	case HV_MAP_CONFLICT:
		hv_mmu_zap_range(vcpu->vm, map->gfn, map->gfn + 1, false);
		break;
	case HV_MAP_STALE:
		break;
	}
	return HV_FAULT_FIXED;
}

int hv_mmu_fault(struct hv_vcpu *vcpu, u64 gpa, u32 access, bool may_sleep)
{
	struct hv_vm *vm = vcpu->vm;
	struct hv_map map = { .gfn = gpa >> PAGE_SHIFT, .access = access };
	bool write = access & HV_ACCESS_WRITE;
	struct hv_memslot *slot;
	struct page *page;
	bool may_write;
	int ret;

	slot = map.gfn < hv_tdp_limit() ? hv_slot_find(vm, map.gfn) : NULL;
	if (!slot || (write && (slot->flags & KVM_MEM_READONLY)))
		return HV_FAULT_MMIO;
	/* It is being taken away: let the guest try again until it is gone. */
	if (READ_ONCE(slot->invalid))
		return HV_FAULT_FIXED;
	if (hv_mmu_cache_fill(vcpu, may_sleep))
		return may_sleep ? -ENOMEM : HV_FAULT_SLEEP;

	map.hva = hv_slot_hva(slot, map.gfn);
	map.seq = READ_ONCE(vm->mmu.invalidate_seq);
	/* seq before the page; pairs with the mmu->lock of who changes it. */
	smp_rmb();
	/* A logging slot is writable only where it was written to, unless the CPU tells. */
	may_write = !(slot->flags & KVM_MEM_READONLY) &&
		    (write || !hv_slot_logs(slot) || hv_tdp()->logs_dirty);
	ret = HV_LOOKUP_AGAIN;
	if (may_sleep && hv_apf_possible(vcpu)) {
		ret = hv_lookup_nowait(&map, &page);
		if (ret == HV_LOOKUP_SLEEP && hv_apf_start(vcpu, map.gfn, map.hva, write))
			return HV_FAULT_FIXED;
	}
	if (ret != HV_LOOKUP_OK)
		ret = hv_lookup(&map, vm->mm, may_write, may_sleep, &page);
	if (ret == HV_LOOKUP_SLEEP)
		return HV_FAULT_SLEEP;
	if (ret == HV_LOOKUP_AGAIN)
		return HV_FAULT_FIXED;
	if (ret == -EHWPOISON) {
		/*
		 * As if the process had touched the page: its handler decides what the guest is
		 * told.
		 */
		send_sig_mceerr(BUS_MCEERR_AR, (void __user *)map.hva, PAGE_SHIFT, current);
		return HV_FAULT_FIXED;
	}
	if (ret < 0)
		return ret;
	if (!may_write)
		map.writable = false;
	map.level = hv_map_level(slot, &map, vm->mm, page);
	ret = hv_mmu_finish(vcpu, slot, &map);
	if (page)
		hv_page_release(page, &map);
	return ret;
}

/* Is the frame mapped where the vCPU looks, and where does its leaf end? */
static bool hv_mmu_mapped(struct hv_vcpu *vcpu, hv_gfn_t gfn, hv_gfn_t *end)
{
	struct hv_vm *vm = vcpu->vm;
	struct page *root = vm->mmu.root[vcpu->smm.active];
	struct hv_leaf_iter it = { .vm = vm, .next = gfn, .end = gfn + 1,
				     .first = gfn, .root = root };
	bool found;

	spin_lock(&vm->mmu.lock);
	found = hv_leaf_next(&it) && it.root == root;
	if (found)
		*end = it.gfn + hv_tdp_pages(it.level);
	spin_unlock(&vm->mmu.lock);
	return found;
}

int hv_mmu_prefault(struct hv_vcpu *vcpu, u64 gpa, u64 *end)
{
	hv_gfn_t gfn = gpa >> PAGE_SHIFT, leaf_end;
	int r;

	while (!hv_mmu_mapped(vcpu, gfn, &leaf_end)) {
		if (signal_pending(current))
			return -EINTR;
		cond_resched();
		r = hv_mmu_fault(vcpu, gpa, 0, true);
		if (r == HV_FAULT_MMIO)
			return -ENOENT;
		if (r < 0)
			return r;
		/* Let go of the slots for those who wait to change them. */
		if (test_bit(HV_REQ_SLOTS, &vcpu->requests))
			return -EAGAIN;
	}
	*end = leaf_end << PAGE_SHIFT;
	return 0;
}
