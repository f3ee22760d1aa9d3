/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Work the kernel wants done before a thread goes to user or guest mode (rescheduling, task work,
 * memory.high throttling). Up to 6.x the function takes a struct kvm_vcpu, later none.
 */
#ifndef HV_COMPAT_GUEST_WORK_H
#define HV_COMPAT_GUEST_WORK_H

#ifdef HV_HAVE_ENTRY_VIRT
#include <linux/entry-virt.h>
#else
#include <linux/entry-kvm.h>
#endif

/* May sleep; 0 or -EINTR when a signal is pending. */
int hv_handle_guest_work(void);

#endif
