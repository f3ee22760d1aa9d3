/* SPDX-License-Identifier: GPL-2.0-only */
/* Second-level page tables (NPT, EPT): guest-physical to host-physical. */
#ifndef HV_MMU_H
#define HV_MMU_H

#include "../hv.h"

#define HV_ACCESS_WRITE	BIT(0)
#define HV_ACCESS_FETCH	BIT(1)
#define HV_ACCESS_USER	BIT(2)		/* guest walk only */
#define HV_ACCESS_FINAL	BIT(3)		/* the instruction's own access, not the walk to it */

enum hv_fault_result {
	HV_FAULT_FIXED,			/* mapped (or someone else did): retry the access */
	HV_FAULT_MMIO,			/* no slot, or a write to a read-only one: emulate */
	HV_FAULT_SLEEP,			/* call again with may_sleep */
	/* or -errno: -EFAULT (no memory behind the slot), -ENOMEM, -EINTR */
};

int hv_mmu_init(struct hv_vm *vm);	/* root table, mmu_notifier on current->mm */
void hv_mmu_destroy(struct hv_vm *vm);	/* no vCPU runs any more */
/* Called with vm->srcu held for reading. */
int hv_mmu_fault(struct hv_vcpu *vcpu, u64 gpa, u32 access, bool may_sleep);
/*
 * Map the page at @gpa as a read would; *end: where its leaf ends. 0, -ENOENT: no memory there,
 * -EAGAIN: let go of vm->srcu first, -EINTR, or what the fault gave.
 */
int hv_mmu_prefault(struct hv_vcpu *vcpu, u64 gpa, u64 *end);
void hv_mmu_vcpu_free(struct hv_vcpu *vcpu);	/* empties the page cache */

/* vm->slots_lock held; both flush all vCPUs before they return. */
void hv_mmu_zap_slot(struct hv_vm *vm, const struct hv_memslot *slot);
/* Take write permission from all pages of the slot (dirty log on) and from masked pages. */
void hv_mmu_write_protect_slot(struct hv_vm *vm, const struct hv_memslot *slot);
/* Collect dirty state of 64 pages from @gfn and re-arm it; returns whether a flush is needed. */
bool hv_mmu_rearm_dirty(struct hv_vm *vm, const struct hv_memslot *slot, hv_gfn_t gfn, u64 mask);

/* Flush all vCPUs' second-level translations before any of them runs on, and count it. */
void hv_mmu_flush_all(struct hv_vm *vm);

u64 hv_mmu_root(const struct hv_vm *vm);	/* physical address of the root table */

#endif
