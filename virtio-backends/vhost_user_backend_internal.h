/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VHOST_USER_BACKEND_INTERNAL_H
#define HV_VHOST_USER_BACKEND_INTERNAL_H

#include <pthread.h>

#include "vhost_user_backend.h"
#include "vhost_user_msg.h"
#include "vhost_user_ring.h"

/* What vhost_user_backend.c and vhost_user_backend_msg.c share. */

/* A message that has begun must end, and an answer be read, within this time. */
#define VHOST_USER_MESSAGE_MS	5000

struct vhost_user_backend {
	struct vhost_user_backend_config cfg;
	struct virtio_dev *dev;
	struct hv_loop_fd *watch;	/* of cfg.fd while nobody is connected, else of conn_fd */
	bool listening;			/* cfg.fd; else it is the connection */
	int conn_fd;			/* -1: nobody is connected */

	uint64_t protocol;		/* protocol features that the front end took */
	uint64_t features;		/* virtio's, with F_PROTOCOL_FEATURES */
	bool features_set;
	uint8_t status;			/* as the front end says */
	struct vhost_user_mem mem;
	struct vhost_user_track track;
	struct vhost_user_ring *ring;	/* dev->nr_queues */

	pthread_mutex_t channel_lock;	/* channel_fd; innermost */
	int channel_fd;			/* to the front end (BACKEND_REQ), -1: none */
};

/*
 * After virtio_dev_pause() and whatever was changed: start and stop queues as the front end wants
 * them, and go on. -errno and a message: a queue could not be started; the others go on.
 */
int vhost_user_backend_resume(struct vhost_user_backend *b, struct hv_err *err);
/* Both. */
int vhost_user_backend_update(struct vhost_user_backend *b, struct hv_err *err);
bool vhost_user_backend_running(const struct vhost_user_backend *b);
/* As when the front end has just connected, but for memory and protocol features. */
void vhost_user_backend_reset(struct vhost_user_backend *b);
/* @fd is the back end's; -1: none. */
void vhost_user_backend_set_channel(struct vhost_user_backend *b, int fd);

/*
 * Do what @m says and answer it; the caller closes what descriptors are left in it. -errno and a
 * message: the connection is to end.
 */
int vhost_user_backend_handle(struct vhost_user_backend *b, struct vhost_user_msg *m,
			      struct hv_err *err);

#endif
