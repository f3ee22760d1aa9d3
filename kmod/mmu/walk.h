/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's own paging: linear to guest-physical addresses, as the CPU walks the tables, for the
 * accesses that the emulator and KVM_TRANSLATE do on the guest's behalf. Kernel-independent.
 *
 * Manuals: APM vol. 2 chapter 5; Intel SDM vol. 3 chapter 4.
 */
#ifndef HV_MMU_WALK_H
#define HV_MMU_WALK_H

#include <linux/types.h>

/* The access to translate for. WRITE, FETCH and USER have the values of HV_ACCESS_*. */
#define HV_WALK_WRITE		0x01
#define HV_WALK_FETCH		0x02
#define HV_WALK_USER		0x04	/* made at CPL 3, and not implicitly by the CPU */
#define HV_WALK_IMPLICIT	0x08	/* by the CPU, as supervisor: AC does not lift SMAP */
#define HV_WALK_PEEK		0x10	/* leave Accessed and Dirty alone */

/* Page-fault error code (APM vol. 2, 8.4.2). */
#define HV_PF_P			0x01
#define HV_PF_W			0x02
#define HV_PF_U			0x04
#define HV_PF_RSVD		0x08
#define HV_PF_ID		0x10
#define HV_PF_PK		0x20

/* hv_walk() result: the guest gets #PF with hv_walk_result.error. */
#define HV_WALK_FAULT		1
/* hv_walk_ops.cmp_write result: the entry has changed. */
#define HV_WALK_RACED		2

/**
 * struct hv_walk_ops - access to guest memory for the walk
 *
 * @read:	read a table entry of @size (4 or 8) bytes at @gpa. 0 or -errno.
 * @cmp_write:	atomically replace @old by @new there. 0; HV_WALK_RACED when it no longer holds
 *		@old (the walk starts over); -errno. Not called with HV_WALK_PEEK.
 */
struct hv_walk_ops {
	int (*read)(void *ctx, u64 gpa, u64 *val, unsigned int size);
	int (*cmp_write)(void *ctx, u64 gpa, u64 old, u64 new, unsigned int size);
};

/**
 * struct hv_walk_env - the registers that decide how an address is translated
 * @maxphyaddr: width of physical addresses, from CPUID 8000_0008
 * @pku: protection keys exist, so CR4.PKE counts
 */
struct hv_walk_env {
	const struct hv_walk_ops *ops;
	void *ctx;
	u64 cr0;
	u64 cr3;
	u64 cr4;
	u64 efer;
	u64 rflags;
	u32 pkru;
	u8 maxphyaddr;
	bool pku;
};

/**
 * struct hv_walk_result - a translation, or why there is none
 * @gpa:	guest-physical address
 * @error:	#PF error code, with HV_WALK_FAULT
 * @page_shift:	log2 of the page size: 12, 21, 22 or 30 (12 without paging)
 * @writable:	a write with the same privilege would be allowed too (Dirty may still be clear)
 * @dirty:	the leaf's Dirty bit is set, so writes need no further walk
 * @user:	user pages: every level has U/S set
 * @no_exec:	some level has NX set
 */
struct hv_walk_result {
	u64 gpa;
	u32 error;
	u8 page_shift;
	bool writable;
	bool dirty;
	bool user;
	bool no_exec;
};

/**
 * hv_walk() - translate one linear address
 * @env: registers and callbacks
 * @la: linear address, canonical in 64-bit mode (the caller has checked it)
 * @access: HV_WALK_*
 * @res: result
 *
 * Sets Accessed and Dirty like the CPU, after all checks have passed.
 *
 * Return: 0, HV_WALK_FAULT or -errno: from a callback, or -EAGAIN when the tables would not hold
 * still.
 */
int hv_walk(const struct hv_walk_env *env, u64 la, u32 access, struct hv_walk_result *res);

#endif
