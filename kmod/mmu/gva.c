// SPDX-License-Identifier: GPL-2.0-only
/* The guest's page tables, walked for a vCPU; see gva.h. */
#include <linux/mm.h>
#include <linux/uaccess.h>
#include <asm/processor-flags.h>

#include "../x86/x86.h"
#include "gva.h"

/* Long-mode entries (APM vol. 2, 5.3). */
#define PTE_P		BIT_ULL(0)
#define PTE_RW		BIT_ULL(1)
#define PTE_US		BIT_ULL(2)
#define PTE_A		BIT_ULL(5)
#define PTE_D		BIT_ULL(6)
#define PTE_PS		BIT_ULL(7)
#define PTE_NX		BIT_ULL(63)
#define PTE_ADDR	GENMASK_ULL(51, 12)
#define HV_EFER_LMA	BIT_ULL(10)
#define HV_EFER_NXE	BIT_ULL(11)

struct hv_walk_ctx {
	struct hv_vcpu *vcpu;
	bool may_sleep;
};

static int hv_walk_read(void *opaque, u64 gpa, u64 *val, unsigned int size)
{
	struct hv_walk_ctx *ctx = opaque;

	*val = 0;
	/* A table that no slot holds has nothing present. */
	if (!hv_slot_find(ctx->vcpu->vm, gpa >> PAGE_SHIFT))
		return 0;
	if (!hv_guest_read_nofault(ctx->vcpu->vm, gpa, val, size))
		return 0;
	if (!ctx->may_sleep)
		return -EAGAIN;
	return hv_guest_read(ctx->vcpu->vm, gpa, val, size);
}

static int hv_walk_cmpxchg(void *opaque, u64 gpa, u64 old, u64 new, unsigned int size)
{
	struct hv_walk_ctx *ctx = opaque;
	int r;

	pagefault_disable();
	r = hv_guest_cmpxchg(ctx->vcpu->vm, gpa, &old, new, size);
	pagefault_enable();
	if (r == -EFAULT) {
		if (!ctx->may_sleep)
			return -EAGAIN;
		r = hv_guest_cmpxchg(ctx->vcpu->vm, gpa, &old, new, size);
	}
	return r == 1 ? HV_WALK_RACED : r;
}

static const struct hv_walk_ops hv_walk_ops = {
	.read = hv_walk_read,
	.cmp_write = hv_walk_cmpxchg,
};

/* One table entry; page faults are disabled. */
static bool hv_read_entry(struct hv_vm *vm, const struct hv_memslot **slot, u64 gpa, u64 *pte)
{
	hv_gfn_t gfn = gpa >> PAGE_SHIFT;

	/* Tables tend to be in one slot: look it up once. */
	if (!*slot || gfn - (*slot)->base_gfn >= (*slot)->npages)
		*slot = hv_slot_find(vm, gfn);
	if (!*slot)
		return false;
	return !__get_user(*pte, (u64 __user *)(hv_slot_hva(*slot, gfn) + offset_in_page(gpa)));
}

/*
 * The walk as it nearly always is: four levels, everything present and allowed, accessed (and
 * dirty) already set. Anything else, right or wrong, is left to hv_walk(), which knows all rules.
 */
static bool hv_walk_quick(struct hv_vcpu *vcpu, u64 la, u32 access, u64 *gpa)
{
	const struct hv_regs *r = &vcpu->regs;
	u64 want = PTE_P | PTE_A, rights = PTE_US, forbidden, table, pte = 0;
	const struct hv_memslot *slot = NULL;
	unsigned int shift = 39;

	if (!(r->efer & HV_EFER_LMA) || (r->cr4 & X86_CR4_LA57))
		return false;
	if (access & HV_WALK_WRITE)
		want |= PTE_RW;
	if (access & HV_WALK_USER)
		want |= PTE_US;
	forbidden = PTE_ADDR & ~(BIT_ULL(vcpu->cpuid->maxphyaddr) - 1);
	/* No execution, or a reserved bit where the guest has not enabled it. */
	if ((access & HV_WALK_FETCH) || !(r->efer & HV_EFER_NXE))
		forbidden |= PTE_NX;
	for (table = r->cr3 & PTE_ADDR; ; table = pte & PTE_ADDR, shift -= 9) {
		if (!hv_read_entry(vcpu->vm, &slot, table + (la >> shift & 0x1ff) * 8, &pte))
			return false;
		if ((pte & want) != want || (pte & forbidden))
			return false;
		rights &= pte;
		if (shift == 12)
			break;
		if (pte & PTE_PS) {
			/* Bit 12 is the PAT bit of a large page, the ones above are reserved. */
			if (shift == 39 || (pte & GENMASK_ULL(shift - 1, 13)))
				return false;
			break;
		}
	}
	if ((access & HV_WALK_WRITE) && !(pte & PTE_D))
		return false;
	/* Supervisor accesses to user pages have rules of their own, and so do protection keys. */
	if (rights && (r->cr4 & (X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE)))
		return false;
	*gpa = (pte & PTE_ADDR & ~(BIT_ULL(shift) - 1)) | (la & (BIT_ULL(shift) - 1));
	return true;
}

static noinline int hv_walk_fully(struct hv_vcpu *vcpu, u64 la, u32 access, bool may_sleep,
				  u64 *gpa, u32 *error)
{
	struct hv_walk_ctx ctx = { .vcpu = vcpu, .may_sleep = may_sleep };
	const struct hv_regs *r = &vcpu->regs;
	struct hv_walk_env env = {
		.ops = &hv_walk_ops,
		.ctx = &ctx,
		.cr0 = r->cr0,
		.cr3 = r->cr3,
		.cr4 = r->cr4,
		.efer = r->efer,
		.rflags = r->rflags,
		.pkru = vcpu->cpuid->has_pku && (r->cr4 & X86_CR4_PKE) ? hv_fpu_pkru(vcpu) : 0,
		.pku = vcpu->cpuid->has_pku,
		.maxphyaddr = vcpu->cpuid->maxphyaddr,
	};
	struct hv_walk_result res;
	int ret;

	ret = hv_walk(&env, la, access, &res);
	*gpa = res.gpa;
	*error = res.error;
	return ret;
}

int hv_gva_translate(struct hv_vcpu *vcpu, u64 la, u32 access, bool may_sleep, u64 *gpa,
		     u32 *error)
{
	bool done;

	hv_regs_need(vcpu, HV_REGS_CR);
	if (!(vcpu->regs.cr0 & X86_CR0_PG)) {
		*gpa = la;
		return 0;
	}
	pagefault_disable();
	done = hv_walk_quick(vcpu, la, access, gpa);
	pagefault_enable();
	return done ? 0 : hv_walk_fully(vcpu, la, access, may_sleep, gpa, error);
}
