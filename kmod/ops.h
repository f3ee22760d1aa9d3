/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How common code calls the vendor: hv_ops for cold paths, hv_call() (a static call) for hot ones.
 */
#ifndef HV_OPS_H
#define HV_OPS_H

#include <linux/static_call.h>

#ifndef HV_H
#error "include hv.h"
#endif

extern struct hv_x86_ops hv_ops;

/* The operations on the run path; main.c points them at the vendor chosen at load. */
#define HV_HOT_OPS(X)		\
	X(vcpu_load)		\
	X(inner_enter)		\
	X(inner_leave)		\
	X(regs_load)		\
	X(regs_store)		\
	X(run)			\
	X(handle_exit)		\
	X(inject)		\
	X(event_allowed)	\
	X(event_window)		\
	X(insn_len)		\
	X(blocking_get)		\
	X(blocking_set)		\
	X(tlb_flush)

#define HV_DECLARE_OP(op) DECLARE_STATIC_CALL(hv_op_##op, *((struct hv_x86_ops *)NULL)->op);
HV_HOT_OPS(HV_DECLARE_OP)
#undef HV_DECLARE_OP

#define hv_call(op) static_call(hv_op_##op)
#define hv_call_cond(op) static_call_cond(hv_op_##op)	/* one that may be NULL */

/* Make the groups in @groups valid in vcpu->regs. */
static inline void hv_regs_need(struct hv_vcpu *vcpu, u32 groups)
{
	groups &= ~vcpu->regs_valid;
	if (!groups)
		return;
	/* All segments include these two. */
	if (groups & HV_REGS_SEG)
		groups |= HV_REGS_CODE;
	hv_call(regs_load)(vcpu, groups);
	vcpu->regs_valid |= groups;
}

/* Say that groups (which must be valid) were changed; they go back before the next entry. */
static inline void hv_regs_dirty(struct hv_vcpu *vcpu, u32 groups)
{
	vcpu->regs_dirty |= groups;
}

#endif
