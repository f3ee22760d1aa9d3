/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_KSHIM_ASM_PROCESSOR_H
#define HV_KSHIM_ASM_PROCESSOR_H

#include <linux/types.h>

void cpuid_count(u32 function, u32 index, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);

#endif
