/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Turning virtualization off on a CPU that is about to be stopped by a crash. Kernels that do not
 * have the callback look at the hardware themselves (6.1 for SVM, and those after 6.12).
 */
#ifndef HV_COMPAT_EMERGENCY_H
#define HV_COMPAT_EMERGENCY_H

#include <asm/reboot.h>

#ifdef HV_HAVE_EMERGENCY_CALLBACK
#define hv_emergency_register(fn)	cpu_emergency_register_virt_callback(fn)
#define hv_emergency_unregister(fn)	cpu_emergency_unregister_virt_callback(fn)
#else
#define hv_emergency_register(fn)	((void)(fn))
#define hv_emergency_unregister(fn)	((void)(fn))
#endif

#endif
