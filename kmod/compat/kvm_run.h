/* SPDX-License-Identifier: GPL-2.0-only */
/* Members of struct kvm_run that later kernels call otherwise. */
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

/* One bit says that the hypercall came from 64-bit code. */
static inline void hv_hypercall_flags(struct kvm_run *run, bool mode64)
{
#ifdef HV_HAVE_HYPERCALL_FLAGS
	run->hypercall.flags = mode64;
#else
	run->hypercall.longmode = mode64;
	run->hypercall.pad = 0;
#endif
}

#endif
