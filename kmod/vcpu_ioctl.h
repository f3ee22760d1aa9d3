/* SPDX-License-Identifier: GPL-2.0-only */
/* The ioctls of a vCPU descriptor (vcpu_ioctl.c). */
#ifndef HV_VCPU_IOCTL_H
#define HV_VCPU_IOCTL_H

#include <linux/fs.h>

long hv_vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

#endif
