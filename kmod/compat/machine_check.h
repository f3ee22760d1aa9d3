/* SPDX-License-Identifier: GPL-2.0-only */
/* The host's machine-check handler; a kernel may be built without (6.1's for clouds is). */
#ifndef HV_COMPAT_MACHINE_CHECK_H
#define HV_COMPAT_MACHINE_CHECK_H

#include <asm/mce.h>

#ifdef CONFIG_X86_MCE
#define hv_do_machine_check(regs)	do_machine_check(regs)
#else
#define hv_do_machine_check(regs)	((void)(regs))
#endif

#endif
