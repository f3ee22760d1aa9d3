/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A toy host and toy vCPUs around the second-level MMU (mmu_test.c). */
#ifndef HV_MMU_TOY_H
#define HV_MMU_TOY_H

#include "mmu/tdp.h"

/* Second-level entries as on AMD. */
#define TOY_P		BIT_ULL(0)
#define TOY_W		BIT_ULL(1)
#define TOY_U		BIT_ULL(2)
#define TOY_A		BIT_ULL(5)
#define TOY_D		BIT_ULL(6)
#define TOY_LARGE	BIT_ULL(7)
#define TOY_LEAF	(TOY_P | TOY_U)

#define HV_TOY_REGIONS	4			/* 2M regions of guest memory */
#define HV_TOY_PAGES	(HV_TOY_REGIONS * 512)
#define HV_TOY_GFN	0x40000ULL
#define HV_TOY_HVA	(0x7f0000000000ULL)
#define HV_TOY_ALIAS	0x80000ULL		/* a second slot with the same memory */
#define HV_TOY_VCPUS	3

struct toy {
	struct hv_vm vm;
	struct hv_vcpu *vcpu[HV_TOY_VCPUS];
	struct hv_memslots *slots;
	bool fail_alloc;
	unsigned long accesses, faults, stale, invalidations, flushes;
};
extern struct toy toy;

void toy_start(void);
/* Tear the VM down; true if a page was leaked or a counter is not zero. */
bool toy_stop(void);
/* The leaf a CPU would find, or 0. */
u64 toy_walk(hv_gfn_t gfn, int *level);
/*
 * vCPUs fault and use translations while others invalidate. Returns uses of pages that were gone.
 */
unsigned long toy_race(unsigned int seconds);
/* vCPUs write while another takes the dirty log. Returns writes that no log showed. */
unsigned long toy_dirty_race(unsigned int seconds);

#endif
