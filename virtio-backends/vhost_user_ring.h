/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VHOST_USER_RING_H
#define HV_VHOST_USER_RING_H

#include <pthread.h>

#include "vhost_user_mem.h"
#include "virtio.h"

/* A queue as a vhost-user front end describes it, until the device's virtq runs. */
struct vhost_user_ring {
	pthread_mutex_t lock;	/* call_fd and err_fd, signalled by the device; innermost */
	int call_fd, err_fd;	/* -1: none */
	int kick_fd;		/* -1: none, or the virtq has it */
	bool kicked;		/* started by SET_VRING_KICK */
	bool enabled;		/* by SET_VRING_ENABLE */
	bool num_set, addr_set;
	uint16_t num, base;	/* base: while the virtq does not run */
	uint64_t desc, avail, used;	/* in the front end's address space */
};

/* Memory that keeps what is in flight. */
struct vhost_user_track {
	void *map;		/* NULL: none */
	size_t len;
	uint8_t *p;
	uint16_t queues, entries;
};

void vhost_user_ring_init(struct vhost_user_ring *r);
void vhost_user_ring_fini(struct vhost_user_ring *r);
/* As after init. */
void vhost_user_ring_clear(struct vhost_user_ring *r);
/* @fd is the ring's; -1: none. */
void vhost_user_ring_set_call(struct vhost_user_ring *r, int fd);
void vhost_user_ring_set_err(struct vhost_user_ring *r, int fd);
void vhost_user_ring_signal_call(struct vhost_user_ring *r);
void vhost_user_ring_signal_err(struct vhost_user_ring *r);

/* Set @vq, which is stopped, up as @r says, and take up what @track says is in flight. */
int vhost_user_ring_start(struct vhost_user_ring *r, struct virtq *vq,
			  const struct vhost_user_mem *mem, const struct vhost_user_track *track,
			  struct hv_err *err);
/* Take the state of @vq, which is stopped, back. */
void vhost_user_ring_stop(struct vhost_user_ring *r, struct virtq *vq);

void vhost_user_track_unmap(struct vhost_user_track *t);

#endif
