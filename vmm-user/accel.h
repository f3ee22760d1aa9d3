/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_ACCEL_H
#define HVM_ACCEL_H

#include <linux/kvm.h>
#include <stdbool.h>

#include "../virtio-backends/util/err.h"

/*
 * The hypervisor device: /dev/hv, or any other that speaks the KVM ABI (Documentation/uapi.rst).
 */
struct hvm_accel {
	const char *path;	/* the caller's */
	int fd;
	int vcpu_map_size;	/* bytes of struct kvm_run's mapping */
	unsigned int max_vcpus;
	bool tsc_deadline;
	bool xsave, xcrs;
};

/* Open the device and see that it can do what hvm needs; the message says what to do if not. */
int hvm_accel_open(struct hvm_accel *accel, const char *path, struct hv_err *err);
void hvm_accel_close(struct hvm_accel *accel);
/* The value of a capability, 0 if the device lacks it. */
int hvm_accel_cap(const struct hvm_accel *accel, int cap);

/* ioctl() that returns -errno, and tries again after a signal. */
int hvm_ioctl(int fd, unsigned long request, void *arg);
int hvm_ioctl_val(int fd, unsigned long request, unsigned long arg);

#endif
