/* SPDX-License-Identifier: GPL-2.0-only */
/* Asynchronous page faults between host and guest (KVM's ABI, asm/kvm_para.h). */
#ifndef HV_X86_ASYNC_PF_DEFS_H
#define HV_X86_ASYNC_PF_DEFS_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <linux/types.h>

/* In the guest's memory. */
struct hv_pv_apf {
	u32 flags;		/* why the #PF came; the guest clears it */
	u32 token;		/* whose page has come; the guest clears it and acknowledges */
};
static_assert(offsetof(struct hv_pv_apf, token) == 4);

#define HV_PV_APF_NOT_PRESENT	BIT(0)		/* hv_pv_apf.flags */
#define HV_PV_APF_WAKE_ALL	0xffffffffU	/* hv_pv_apf.token: all pages have come */

/* MSR_KVM_ASYNC_PF_EN */
#define HV_PV_APF_ENABLED	BIT_ULL(0)
#define HV_PV_APF_SEND_ALWAYS	BIT_ULL(1)	/* also while the guest is in its kernel */
#define HV_PV_APF_BY_INTERRUPT	BIT_ULL(3)
#define HV_PV_APF_RESERVED	(BIT_ULL(4) | BIT_ULL(5))
#define HV_PV_APF_ADDR		(~0x3fULL)

#define HV_PV_APF_VECTOR	0xffULL		/* MSR_KVM_ASYNC_PF_INT */

/* A token: a count and the vCPU's id. */
#define HV_PV_APF_TOKEN_SHIFT	12
#define HV_PV_APF_TOKEN_COUNT	0x7ffffU

#endif
