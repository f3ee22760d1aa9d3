/* SPDX-License-Identifier: GPL-2.0-only */
/* Not in vmx.h: what the kernel says about L1TF is in <asm/vmx.h>, which has names of ours. */
#ifndef HV_VMX_MITIGATE_H
#define HV_VMX_MITIGATE_H

#include <linux/types.h>

/* The kernel's, for what it tells in sysfs; not every kernel's headers have it. */
extern bool itlb_multihit_kvm_mitigation;

int vmx_mitigate_init(void);
void vmx_mitigate_exit(void);
void vmx_mitigate_inner(void);	/* the inner loop begins */
void vmx_mitigate_enter(void);	/* the last thing before an entry; IRQs off */

#endif
