/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VIRTIO_BLK_INTERNAL_H
#define HV_VIRTIO_BLK_INTERNAL_H

#include <semaphore.h>

#include "blk.h"
#include "blk_defs.h"
#include "io_thread.h"

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
	struct hv_io_thread *thread;
	struct hv_loop *loop;
	struct blk_queue *bq;
	struct hv_loop_fd *kick;	/* NULL: stopped */
	struct hv_loop_deferred complete;
	struct blk_io *free;		/* requests that are not in use */
	unsigned int inflight;
	bool stopping;
	bool started;			/* dev->lock */
	sem_t drained;			/* posted once per stop */
	_Atomic uint64_t stat[BLK_NR_STATS];	/* written here, read anywhere */
};

struct virtio_blk {
	struct virtio_dev dev;
	struct blk_image *img;
	bool readonly;
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

/* The driver's notification; an hv_loop_fd_fn. */
void blk_vq_kicked(void *opaque, uint32_t events);
/* After a round with completions: tell the driver. */
void blk_vq_completed(void *opaque);
/* The last request of a stopping queue is done. */
void blk_vq_drained(struct blk_vq *q);
void blk_vq_free_requests(struct blk_vq *q);

#endif
