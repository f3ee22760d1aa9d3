/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VIRTIO_BLK_INTERNAL_H
#define HV_VIRTIO_BLK_INTERNAL_H

#include <semaphore.h>

#include "blk.h"
#include "blk_defs.h"
#include "io_thread.h"
#include "limit.h"

/* What blk.c and blk_request.c share. */

#define BLK_MAX_SEGMENTS	16	/* of one discard or write-zeroes request */

enum blk_stat {
	BLK_STAT_READS, BLK_STAT_READ_BYTES, BLK_STAT_WRITES, BLK_STAT_WRITTEN_BYTES,
	BLK_STAT_FLUSHES, BLK_STAT_DISCARDS, BLK_STAT_WRITE_ZEROES, BLK_STAT_ERRORS,
	BLK_NR_STATS
};

struct blk_io;

/* A queue; all of it belongs to the queue's thread unless it says otherwise. */
struct blk_vq {
	struct virtio_blk *blk;
	struct virtq *vq;
	struct hv_io_thread *thread;	/* NULL: the first queue's */
	struct hv_loop *loop;
	struct blk_queue *bq;
	struct hv_loop_fd *kick;	/* NULL: stopped */
	struct hv_loop_timer *limit_timer;	/* armed: until then no requests are taken */
	struct hv_loop_deferred complete;
	struct blk_io *free;		/* requests that are not in use */
	unsigned int inflight;
	/* Requests that failed and wait for the next start (VIRTIO_BLK_STOP). Or stopped. */
	unsigned int nr_held;
	uint16_t held[VIRTQ_MAX_SIZE];
	bool stopping;
	bool started;			/* dev->lock */
	sem_t drained;			/* posted once per stop */
	_Atomic uint64_t stat[BLK_NR_STATS];	/* written here, read anywhere */
};

struct virtio_blk {
	struct virtio_dev dev;
	struct blk_image *img;
	bool readonly;
	enum virtio_blk_on_error on_error;
	void (*stopped)(void *opaque, const char *id, int error);
	void *opaque;
	struct hv_limit limit;
	char serial[VIRTIO_BLK_ID_LEN];
	struct blk_config_space config;
	atomic_uchar writeback;		/* cache mode that the driver chose */
	atomic_bool can_flush;		/* FLUSH was negotiated */
	_Atomic uint64_t logged;	/* when an I/O error was last reported, ns */
	struct blk_vq queue[];
};

static inline struct virtio_blk *to_virtio_blk(struct virtio_dev *dev)
{
	return (struct virtio_blk *)((char *)dev - offsetof(struct virtio_blk, dev));
}

void blk_vq_limit_over(void *opaque);
/* The driver's notification; an hv_loop_fd_fn. */
void blk_vq_kicked(void *opaque, uint32_t events);
/* Try the requests again that failed; @q has just been started. */
void blk_vq_retry(struct blk_vq *q);
/* After a round with completions: tell the driver. */
void blk_vq_completed(void *opaque);
/* The last request of a stopping queue is done. */
void blk_vq_drained(struct blk_vq *q);
void blk_vq_free_requests(struct blk_vq *q);

#endif
