/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VHOST_USER_BACKEND_H
#define HV_VHOST_USER_BACKEND_H

#include "loop.h"
#include "virtio.h"

/*
 * The back end of vhost-user: a device model of this library served to a front end (hvm, QEMU) in
 * another process, over a Unix socket. It takes the place of a transport.
 *
 * One front end at a time; the next one is accepted when the one before is gone. What a front end
 * sends is checked, and one that breaks the protocol is disconnected. It may do with its own
 * guest's memory and queues what it likes, as the guest may.
 *
 * Everything here runs on the loop's thread but for interrupts, which come from the device's.
 */
struct vhost_user_backend;

struct vhost_user_backend_config {
	struct virtio_dev *dev;		/* stays the caller's; goes away after the back end */
	struct hv_loop *loop;
	int fd;				/* listening or connected; owned once created */
	unsigned int queue_num;		/* what GET_QUEUE_NUM says */
	uint64_t hidden;		/* features that are the front end's business */
	/* A connected @fd was closed by the other side: nobody can come any more. */
	void (*ended)(void *opaque);
	void *opaque;
};

int vhost_user_backend_create(const struct vhost_user_backend_config *cfg,
			      struct vhost_user_backend **b, struct hv_err *err);
void vhost_user_backend_destroy(struct vhost_user_backend *b);

#endif
