/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The interface of /dev/hv: the KVM ioctl ABI (<linux/kvm.h>, API version 12), plus extensions of
 * hv's own. Documentation/uapi.rst lists every ioctl and capability.
 *
 * Extensions are discovered with KVM_CHECK_EXTENSION in a range of capability numbers that KVM does
 * not use; 0 means "not there". A program that uses none of them runs on /dev/kvm as well.
 */
#ifndef _UAPI_LINUX_HV_H
#define _UAPI_LINUX_HV_H

#include <linux/kvm.h>

#define HV_API_VERSION		KVM_API_VERSION

/* Capabilities of hv only: HV_CAP_BASE to HV_CAP_BASE + 0xffff. None is defined yet. */
#define HV_CAP_BASE		0x68760000

#endif
