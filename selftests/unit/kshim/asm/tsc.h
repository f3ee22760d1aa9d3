/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's clock of ticks, as far as the module's code that runs in unit tests asks for it. */
#ifndef KSHIM_ASM_TSC_H
#define KSHIM_ASM_TSC_H

#include <linux/types.h>

/* Both are the test's: time passes as it wants. */
extern unsigned int tsc_khz;
u64 rdtsc(void);

static inline int check_tsc_unstable(void)
{
	return 0;
}

#endif
