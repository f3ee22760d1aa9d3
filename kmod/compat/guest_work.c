// SPDX-License-Identifier: GPL-2.0-only
/* See guest_work.h. */
#include "guest_work.h"

#ifdef HV_HAVE_ENTRY_VIRT

int hv_handle_guest_work(void)
{
	return xfer_to_guest_mode_handle_work();
}
#else
#include <linux/kvm_host.h>

/*
 * The function notes a pending signal in the vCPU it is given: exit reason and a counter. hv has
 * its own of both, so one stand-in collects what nobody reads.
 */
static struct kvm_run unused_run;
static struct kvm_vcpu unused_vcpu = { .run = &unused_run };

int hv_handle_guest_work(void)
{
	return xfer_to_guest_mode_handle_work(&unused_vcpu);
}
#endif
