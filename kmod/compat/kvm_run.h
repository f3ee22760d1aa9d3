/* SPDX-License-Identifier: GPL-2.0-only */
/* Fields of struct kvm_run that kernels name differently. */
#ifndef HV_COMPAT_KVM_RUN_H
#define HV_COMPAT_KVM_RUN_H

#include <linux/compiler.h>
#include <linux/kvm.h>

/* Later kernels rename it for kernel code, so that nobody reads it twice. */
static inline bool hv_immediate_exit(const struct kvm_run *run)
{
#ifdef HV_HAVE_IMMEDIATE_EXIT_UNSAFE
	return READ_ONCE(run->immediate_exit__unsafe);
#else
	return READ_ONCE(run->immediate_exit);
#endif
}

/* Older headers know the first half of kvm_run.hypercall.flags only, by another name. */
static inline void hv_hypercall_set_flags(struct kvm_run *run, u64 flags)
{
#ifdef HV_HAVE_HYPERCALL_FLAGS
	run->hypercall.flags = flags;
#else
	run->hypercall.longmode = flags;
	run->hypercall.pad = flags >> 32;
#endif
}

#endif
