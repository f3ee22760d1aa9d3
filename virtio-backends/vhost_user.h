/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VHOST_USER_H
#define HV_VHOST_USER_H

#include "virtio.h"

/*
 * Virtio devices whose work another process does: front ends of vhost-user. Guest memory must be
 * shared (guest_mem.h).
 *
 * A back end that goes away while the guest uses it is connected to again, for as long as it
 * takes; the guest sees a pause. What was in flight is kept in memory that both share, so that a
 * disk's requests are each done once. A shared directory cannot go on: its server kept what the
 * guest had open.
 */
struct vhost_user_dev_config {
	const char *id;			/* "blk0": for messages and thread names */
	/*
	 * A connected socket to the back end, which is the device's then; or -errno and a message.
	 * Called on a thread of the device's at creation, and again when the back end is gone.
	 */
	int (*connect)(void *opaque, int *sock, struct hv_err *err);
	void *opaque;
	unsigned int queues;		/* blk: that are wanted; fewer if the back end has */
};

/* A disk (virtio 1.2, 5.2). Its back end must keep what is in flight and tell its configuration. */
int vhost_user_blk_create(const struct vhost_user_dev_config *cfg, struct virtio_dev **dev,
			  struct hv_err *err);
/* A network card with one pair of queues (virtio 1.2, 5.1). */
int vhost_user_net_create(const struct vhost_user_dev_config *cfg, const uint8_t mac[6],
			  struct virtio_dev **dev, struct hv_err *err);

#define VHOST_USER_FS_TAG_MAX	36
/* A shared directory, which the guest mounts by @tag (virtio 1.2, 5.11). */
int vhost_user_fs_create(const struct vhost_user_dev_config *cfg, const char *tag,
			 struct virtio_dev **dev, struct hv_err *err);

#endif
