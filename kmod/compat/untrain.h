/* SPDX-License-Identifier: GPL-2.0-only */
/* Assembly mitigations whose macros differ between kernels. */
#ifndef HV_COMPAT_UNTRAIN_H
#define HV_COMPAT_UNTRAIN_H

#ifdef HV_HAVE_UNTRAIN_RET_VM
#define HV_UNTRAIN_RET UNTRAIN_RET_VM
#else
#define HV_UNTRAIN_RET UNTRAIN_RET
#endif

#ifdef HV_HAVE_VM_CLEAR_CPU_BUFFERS
#define HV_CLEAR_CPU_BUFFERS VM_CLEAR_CPU_BUFFERS
#elif defined(HV_HAVE_CLEAR_CPU_BUFFERS)
#define HV_CLEAR_CPU_BUFFERS CLEAR_CPU_BUFFERS
#else
#define HV_CLEAR_CPU_BUFFERS
#endif

#endif
