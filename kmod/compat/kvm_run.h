/* SPDX-License-Identifier: GPL-2.0-only */
/* Later kernels rename kvm_run.immediate_exit for kernel code, so that nobody reads it twice. */
#ifndef HV_COMPAT_KVM_RUN_H
#define HV_COMPAT_KVM_RUN_H

#include <linux/compiler.h>
#include <linux/kvm.h>

static inline bool hv_immediate_exit(const struct kvm_run *run)
{
#ifdef HV_HAVE_IMMEDIATE_EXIT_UNSAFE
	return READ_ONCE(run->immediate_exit__unsafe);
#else
	return READ_ONCE(run->immediate_exit);
#endif
}

#endif
