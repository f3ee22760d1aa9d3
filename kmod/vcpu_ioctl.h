/* SPDX-License-Identifier: GPL-2.0-only */
/* The ioctls of a vCPU descriptor (vcpu_ioctl.c). */
#ifndef HV_VCPU_IOCTL_H
#define HV_VCPU_IOCTL_H

#include <linux/fs.h>

struct hv_vcpu;
struct kvm_cpuid2;

long hv_vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
/* KVM_GET_SUPPORTED_HV_CPUID; @vcpu is NULL on the system descriptor. */
long hv_copy_hyperv_cpuid(const struct hv_vcpu *vcpu, struct kvm_cpuid2 __user *arg);

#endif
