/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VHOST_USER_FRONT_H
#define HV_VHOST_USER_FRONT_H

#include "io_thread.h"
#include "vhost_user.h"
#include "vhost_user_conn.h"
#include "vhost_user_ring.h"

/* What vhost_user.c (the devices) and vhost_user_front.c (their life with a back end) share. */

struct vhost_user_front;

/* What differs between devices. */
struct vhost_user_kind {
	struct virtio_dev_ops ops;
	uint64_t backend_features;	/* device features that are the back end's to offer */
	uint64_t local_features;	/* offered whatever the back end has, and not told to it */
	uint64_t protocol;		/* protocol features without which it makes no sense */
	bool backend_config;		/* configuration space is the back end's */
	void (*fix_config)(const struct vhost_user_front *f, uint8_t *config);	/* optional */
	bool resumes;			/* can go on with another back end */
	unsigned int queue_size;
};

struct vhost_user_front_ring {
	struct vhost_user_front *f;
	struct virtq *vq;
	bool running;			/* handed over, or will be when the back end is back */
	int call_fd;			/* relayed to the transport; -1: its own is used */
	struct hv_loop_fd *relay;
};

/* A device. All of it belongs to its thread, unless it says otherwise. */
struct vhost_user_front {
	struct virtio_dev dev;
	char id[sizeof(((struct virtio_dev *)0)->id)];
	const struct vhost_user_kind *kind;
	int (*connect)(void *opaque, int *sock, struct hv_err *err);
	void *opaque;
	struct hv_io_thread *thread;
	struct hv_loop *loop;

	struct vhost_user_conn conn;	/* sock -1: the back end is gone */
	struct hv_loop_fd *sock_watch;
	int channel_fd;			/* what the back end says by itself; -1: nothing */
	struct hv_loop_fd *channel_watch;
	int err_fd;
	struct hv_loop_fd *err_watch;
	struct hv_loop_timer *retry;
	uint64_t retry_ns;		/* how long the next wait is */
	uint64_t gone_ns;		/* since when the back end is gone; 0: it is not */

	bool started;
	struct vhost_user_front_ring *ring;	/* dev.nr_queues */
	int track_fd;			/* -1: none */
	uint64_t track_offset, track_size;
	struct vhost_user_track track;

	/* Configuration space; a vCPU reads it. */
	pthread_mutex_t config_lock;	/* innermost */
	uint8_t config[VHOST_USER_MAX_CONFIG];
	uint32_t written_off, written_len;	/* what the driver wrote last, 0 bytes: nothing */

	_Atomic uint64_t reconnects;	/* written by the thread */
};

/*
 * Connect to the back end and make a device of @kind with @queues queues, or as many as there are
 * at the back end if it @can_have_fewer; @config is what configuration space is unless it is the
 * back end's.
 */
int vhost_user_front_create(const struct vhost_user_kind *kind,
			    const struct vhost_user_dev_config *cfg, unsigned int queues,
			    bool can_have_fewer, const void *config, struct virtio_dev **dev,
			    struct hv_err *err);

/* For struct virtio_dev_ops. */
void vhost_user_front_config_read(struct virtio_dev *dev, uint32_t off, void *buf, uint32_t len);
void vhost_user_front_config_write(struct virtio_dev *dev, uint32_t off, const void *buf,
				   uint32_t len);
int vhost_user_front_start(struct virtio_dev *dev);
void vhost_user_front_stop(struct virtio_dev *dev);
void vhost_user_front_reset(struct virtio_dev *dev);
void vhost_user_front_save(struct virtio_dev *dev, struct hv_state_writer *w);
int vhost_user_front_load(struct virtio_dev *dev, struct hv_state_reader *r, struct hv_err *err);
void vhost_user_front_stats(struct virtio_dev *dev, virtio_stat_fn fn, void *opaque);
void vhost_user_front_destroy(struct virtio_dev *dev);

static inline struct vhost_user_front *to_vhost_user_front(struct virtio_dev *dev)
{
	return (struct vhost_user_front *)((char *)dev - offsetof(struct vhost_user_front, dev));
}

/* vhost_user_inflight.c; on the device's thread, or stopped. */

/* Have the back end make the memory, unless there is some. */
int vhost_user_front_get_track(struct vhost_user_front *f, struct hv_err *err);
int vhost_user_front_set_track(struct vhost_user_front *f, struct hv_err *err);
void vhost_user_front_drop_track(struct vhost_user_front *f);
/* Where @vq's chains in flight are kept; NULL: nowhere. */
struct virtq_track *vhost_user_front_track(const struct vhost_user_front *f,
					   const struct virtq *vq);
/* Chains of @vq, whose used ring is at vq->used_idx, in order: their number, none on failure. */
unsigned int vhost_user_front_inflight(const struct vhost_user_front *f, const struct virtq *vq,
				       uint16_t heads[VIRTQ_MAX_SIZE]);

#endif
