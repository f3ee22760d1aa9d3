/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_BACKEND_SERVE_H
#define HVM_BACKEND_SERVE_H

#include "../../virtio-backends/virtio.h"

/*
 * What the programs hv-backend-* share: a device served over vhost-user until a signal comes. All
 * that a device needs is opened before the first front end is listened to.
 */
struct hvm_backend_program {
	const char *name;
	const char *usage;	/* all of --help */
	const char *option;	/* that says what is served: "disk" */
	/*
	 * Make the device that @value of the option describes; @name is the value of --name, or
	 * NULL.
	 */
	int (*open)(const char *value, const char *name, struct virtio_dev **dev,
		    struct hv_err *err);
	/* After the device is gone: -errno if something could not be written. */
	int (*close)(struct hv_err *err);
	uint64_t features;	/* that are offered; the others are the front end's */
	unsigned int (*queue_num)(const struct virtio_dev *dev);
};

/* Exit statuses. */
enum { HVM_BACKEND_OK = 0, HVM_BACKEND_USAGE = 1, HVM_BACKEND_ERROR = 2 };

/* A whole main(). */
int hvm_backend_main(int argc, char **argv, const struct hvm_backend_program *p);

#endif
