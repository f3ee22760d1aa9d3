// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page-modification log (SDM 28.3.6): the CPU notes each page whose dirty bit it sets, so that
 * slots which log need no write faults. The log is emptied right after the exit, before interrupts
 * are enabled: whoever has made a vCPU leave the guest (hv_request_all()) finds its pages in the
 * slots' logs.
 */
#include <linux/gfp.h>
#include <linux/mm.h>

#include "vmx.h"

#define VMX_PML_ENTRIES	512

int vmx_pml_init(struct vmx_vcpu *vmx)
{
	if (!(vmx_caps.cpu2 & VMX_CPU2_PML))
		return 0;
	vmx->pml = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	return vmx->pml ? 0 : -ENOMEM;
}

void vmx_pml_free(struct vmx_vcpu *vmx)
{
	if (vmx->pml)
		__free_page(vmx->pml);
}

/* The CPU exits when the log is full: let that be before the vCPU's dirty ring is. */
void vmx_pml_enter(struct vmx_vcpu *vmx)
{
	u32 room = clamp_t(u32, hv_dirty_ring_room(&vmx->vcpu), 1, VMX_PML_ENTRIES);

	if (likely(vmx->pml_index == room - 1))
		return;
	vmx->pml_index = room - 1;
	vmx_write(VMX_GUEST_PML_INDEX, room - 1);
}

void vmx_pml_flush(struct vmx_vcpu *vmx)
{
	struct hv_vm *vm = vmx->vcpu.vm;
	const u64 *log = page_address(vmx->pml);
	u16 next = vmx_read(VMX_GUEST_PML_INDEX);
	struct hv_memslot *slot;
	unsigned int i, last;
	hv_gfn_t gfn;

	if (likely(next == vmx->pml_index))
		return;
	/* It counts down, and below 0 when the log is full. */
	last = next >= VMX_PML_ENTRIES ? 0 : next + 1;
	for (i = vmx->pml_index + 1; i-- > last; ) {
		gfn = log[i] >> PAGE_SHIFT;
		slot = hv_slot_find(vm, gfn);
		if (slot)
			hv_slot_mark_dirty(vm, slot, gfn);
	}
	vmx->pml_index = VMX_PML_STALE;
}
