// SPDX-License-Identifier: GPL-2.0-only
/*
 * The APIC-access page. A CPU that virtualizes an APIC in xAPIC mode knows the guest's accesses to
 * it by the page they end in: one that is mapped where the APIC is, and that nobody ever reads.
 *
 * The second-level tables are those of all vCPUs. A vCPU whose CPU does not look out for the page -
 * its APIC is off, elsewhere or in x2APIC mode, or software must see each access - would find
 * memory there. So the page is mapped only while there is no such vCPU, which is how systems start;
 * and the first one takes it out before it enters its guest again. It comes back by a fault.
 *
 * An installer that has found no such vCPU is stopped by the gate of the tables (mmu/tdp.h) if one
 * comes: the count goes up before the frame is published.
 */
#include <linux/gfp.h>
#include <linux/mm.h>

#include "../mmu/tdp.h"
#include "lapic.h"

#define HV_APIC_GFN	(HV_APIC_DEFAULT_BASE >> PAGE_SHIFT)

int hv_apic_page_create(struct hv_vm *vm)
{
	lockdep_assert_held(&vm->lock);
	if (!vm->apic_page)
		vm->apic_page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	return vm->apic_page ? 0 : -ENOMEM;
}

void hv_apic_page_free(struct hv_vm *vm)
{
	if (vm->apic_page)
		__free_page(vm->apic_page);
}

u64 hv_apic_page(const struct hv_vm *vm)
{
	return page_to_phys(vm->apic_page);
}

void hv_apic_page_use(struct hv_vcpu *vcpu, bool use)
{
	struct hv_lapic *l = vcpu->lapic;

	if (l->page_unused == !use)
		return;
	l->page_unused = !use;
	if (use) {
		atomic_dec(&vcpu->vm->apic_page_others);
		return;
	}
	atomic_inc(&vcpu->vm->apic_page_others);
	hv_request(vcpu, HV_REQ_APIC_PAGE);
}

bool hv_apic_page_map(struct hv_vcpu *vcpu, u64 gpa)
{
	struct hv_vm *vm = vcpu->vm;
	struct hv_map map = {
		.gfn = HV_APIC_GFN, .level = 1, .writable = true, .access = HV_ACCESS_WRITE,
	};

	if (gpa >> PAGE_SHIFT != HV_APIC_GFN || !vm->apic_page)
		return false;
	map.seq = READ_ONCE(vm->mmu.invalidate_seq);
	/* seq before the count; pairs with hv_apic_page_unmap(). */
	smp_rmb();
	if (atomic_read(&vm->apic_page_others) || hv_mmu_cache_fill(vcpu, false))
		return false;
	map.pfn = page_to_pfn(vm->apic_page);
	/* In no slot: no user address belongs to it, and none must seem to be invalidated. */
	map.hva = ~0ULL << PAGE_SHIFT;
	/* Whatever came of it, the guest may try again. */
	if (hv_mmu_map(vcpu, &map) == HV_MAP_SPURIOUS)
		hv_request(vcpu, HV_REQ_TLB_FLUSH);
	return true;
}

void hv_apic_page_unmap(struct hv_vm *vm)
{
	if (READ_ONCE(vm->apic_page))
		hv_mmu_zap_range(vm, HV_APIC_GFN, HV_APIC_GFN + 1, true);
}
