/* SPDX-License-Identifier: GPL-2.0-only */
/* Guest-virtual addresses of a vCPU: hv_walk() with the vCPU's registers and memory. */
#ifndef HV_MMU_GVA_H
#define HV_MMU_GVA_H

#include "../hv.h"
#include "walk.h"

/*
 * Translate as the guest would for @access (HV_WALK_*). 0 and *gpa; HV_WALK_FAULT and *error, the
 * page-fault error code; -EAGAIN when it must sleep and may not, or when the guest kept changing
 * the tables: it is to execute the instruction again, so that requests and signals have their turn;
 * -EFAULT when a table is not in memory.
 */
int hv_gva_translate(struct hv_vcpu *vcpu, u64 la, u32 access, bool may_sleep, u64 *gpa,
		     u32 *error);

#endif
