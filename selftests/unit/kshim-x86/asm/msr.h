/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_KSHIM_ASM_MSR_H
#define HV_KSHIM_ASM_MSR_H

#include <asm/cpufeature.h>
#include <linux/types.h>

extern u64 kshim_wrmsr_value;
extern u32 kshim_wrmsr_index;

static inline int rdmsrl_safe(u32 index, u64 *value)
{
	if (index != 0x10a)
		return -1;
	*value = kshim_arch_capabilities;
	return 0;
}

static inline void wrmsrl(u32 index, u64 value)
{
	kshim_wrmsr_index = index;
	kshim_wrmsr_value = value;
}

#endif
