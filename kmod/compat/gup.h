/* SPDX-License-Identifier: GPL-2.0-only */
/* What looking up user memory is called in this kernel. */
#ifndef HV_COMPAT_GUP_H
#define HV_COMPAT_GUP_H

#include <linux/mm.h>

/* Take NUMA hinting faults as the guest's accesses, where the kernel leaves the choice. */
#ifdef HV_HAVE_GUP_NUMA_FAULT
#define HV_FOLL_NUMA FOLL_HONOR_NUMA_FAULT
#else
#define HV_FOLL_NUMA 0
#endif

/* Let any signal, not only a fatal one, end a wait for the page (userfaultfd, slow swap). */
#ifdef HV_HAVE_GUP_INTERRUPTIBLE
#define HV_FOLL_INTERRUPTIBLE FOLL_INTERRUPTIBLE
#else
#define HV_FOLL_INTERRUPTIBLE 0
#endif

/*
 * The frame behind a page of a VM_PFNMAP or VM_IO mapping; mmap_lock held for reading. -errno if
 * the page is not mapped now.
 */
#ifdef HV_HAVE_FOLLOW_PFNMAP
static inline int hv_follow_pfnmap(struct vm_area_struct *vma, u64 hva, u64 *pfn, bool *writable)
{
	struct follow_pfnmap_args args = { .vma = vma, .address = hva };
	int err = follow_pfnmap_start(&args);

	if (err)
		return err;
	*pfn = args.pfn;
	*writable = args.writable;
	follow_pfnmap_end(&args);
	return 0;
}
#else
static inline int hv_follow_pfnmap(struct vm_area_struct *vma, u64 hva, u64 *pfn, bool *writable)
{
	spinlock_t *ptl;
	pte_t *ptep;
	int err = follow_pte(vma->vm_mm, hva, &ptep, &ptl);

	if (err)
		return err;
	*pfn = pte_pfn(*ptep);
	*writable = pte_write(*ptep);
	pte_unmap_unlock(ptep, ptl);
	return 0;
}
#endif

#endif
