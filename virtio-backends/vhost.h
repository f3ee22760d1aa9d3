/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VHOST_H
#define HV_VHOST_H

#include "virtio.h"

/*
 * Queues of a device that the host's kernel processes (vhost): it reads the driver's doorbell,
 * works on the rings in guest memory and signals the interrupt's eventfd by itself. We set it up,
 * and take the state of the queues back when the device stops.
 */
#define VHOST_MAX_VRINGS	2

struct vhost_vring {
	struct virtq *vq;	/* NULL: not started */
	int call_fd;		/* relayed to queue_interrupt(); -1: the transport's is used */
	struct hv_loop_fd *relay;
};

struct vhost {
	struct virtio_dev *dev;
	struct hv_loop *loop;	/* relays and errors */
	int fd;
	int err_fd;
	struct hv_loop_fd *err_watch;
	uint64_t features;	/* that the kernel offers */
	struct vhost_vring vring[VHOST_MAX_VRINGS];
};

/* Open @path ("/dev/vhost-net") and take it. Messages begin with the device's id. */
int vhost_open(struct vhost *v, const char *path, struct virtio_dev *dev, struct hv_loop *loop,
	       struct hv_err *err);
void vhost_close(struct vhost *v);

/* Tell guest memory and features (those of the driver that the kernel offers, too). */
int vhost_set_up(struct vhost *v);
/* Hand a started queue over; the caller then starts the back end. */
int vhost_start_vring(struct vhost *v, unsigned int i, struct virtq *vq);
/* Take it back, after the back end was stopped. */
void vhost_stop_vring(struct vhost *v, unsigned int i);

#endif
