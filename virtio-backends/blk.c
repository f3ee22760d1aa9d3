// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtio block device; see blk.h. This file is the device: configuration, threads, start and stop.
 * Requests are in blk_request.c.
 */
#include "blk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "blk_internal.h"

#define BLK_DEFAULT_QUEUE_SIZE	256
#define BLK_STATE_VERSION	2	/* 1: without requests that wait */
/* Guests align to 4 KiB: what disks and host file systems use inside. */
#define BLK_PHYSICAL_EXP	3
/* Longest discard or write-zeroes, so that one request cannot hold the image for long. */
#define BLK_MAX_UNMAP_SECTORS	(1u << 22)

/* ---- Configuration ---- */

static void blk_config_read(struct virtio_dev *dev, uint32_t off, void *buf, uint32_t len)
{
	struct virtio_blk *blk = to_virtio_blk(dev);

	blk->config.writeback = atomic_load(&blk->writeback);
	memcpy(buf, (const uint8_t *)&blk->config + off, len);
}

/* Only the cache mode can be written (virtio 1.2, 5.2.5). */
static void blk_config_write(struct virtio_dev *dev, uint32_t off, const void *buf, uint32_t len)
{
	struct virtio_blk *blk = to_virtio_blk(dev);

	if (off != offsetof(struct blk_config_space, writeback) || len != 1 ||
	    !virtio_dev_has_feature(dev, VIRTIO_BLK_F_CONFIG_WCE))
		return;
	atomic_store(&blk->writeback, *(const uint8_t *)buf & 1);
}

static void blk_fill_config(struct virtio_blk *blk, unsigned int queues, unsigned int queue_size)
{
	uint32_t cluster = blk_cluster_size(blk->img) >> VIRTIO_BLK_SECTOR_SHIFT;

	blk->config = (struct blk_config_space){
		.capacity = blk_size(blk->img) >> VIRTIO_BLK_SECTOR_SHIFT,
		/* A request needs a descriptor for its header and one for its status. */
		.seg_max = queue_size > 2 ? queue_size - 2 : 1,
		.blk_size = VIRTIO_BLK_SECTOR_SIZE,
		.physical_block_exp = BLK_PHYSICAL_EXP,
		.min_io_size = 1u << BLK_PHYSICAL_EXP,
		.num_queues = (uint16_t)queues,
		.max_discard_sectors = BLK_MAX_UNMAP_SECTORS,
		.max_discard_seg = BLK_MAX_SEGMENTS,
		.discard_sector_alignment = cluster ? cluster : 1,
		.max_write_zeroes_sectors = BLK_MAX_UNMAP_SECTORS,
		.max_write_zeroes_seg = BLK_MAX_SEGMENTS,
		.write_zeroes_may_unmap = 1,
	};
}

void virtio_blk_resized(struct virtio_dev *dev)
{
	struct virtio_blk *blk = to_virtio_blk(dev);

	pthread_mutex_lock(&dev->lock);
	blk->config.capacity = blk_size(blk->img) >> VIRTIO_BLK_SECTOR_SHIFT;
	pthread_mutex_unlock(&dev->lock);
	virtio_dev_config_changed(dev);
}

struct image_change {
	struct blk_vq *q;
	struct blk_image *img;
};

static void blk_vq_set_image(void *opaque)
{
	struct image_change *c = opaque;

	blk_queue_set_image(c->q->bq, c->img);
}

void virtio_blk_set_image(struct virtio_dev *dev, struct blk_image *img)
{
	struct virtio_blk *blk = to_virtio_blk(dev);

	for (unsigned int i = 0; i < dev->nr_queues; i++) {
		struct image_change c = { &blk->queue[i], img };

		hv_loop_call(blk->queue[i].loop, blk_vq_set_image, &c);
	}
	blk->img = img;
}

/* ---- Start and stop ---- */

struct queue_start {
	struct blk_vq *q;
	int ret;
};

static void blk_vq_start(void *opaque)
{
	struct queue_start *s = opaque;
	struct blk_vq *q = s->q;

	q->stopping = false;
	q->kick = hv_loop_add_fd(q->loop, q->vq->kick_fd, EPOLLIN, blk_vq_kicked, q);
	s->ret = q->kick ? 0 : -errno;
	if (q->kick)
		blk_vq_retry(q);
}

static void blk_vq_stop(void *opaque)
{
	struct blk_vq *q = opaque;

	if (!q->kick)
		return;
	hv_loop_del_fd(q->kick);
	q->kick = NULL;
	hv_loop_disarm_timer(q->limit_timer);
	q->stopping = true;
	if (!q->inflight)
		blk_vq_drained(q);
}

static void blk_stop(struct virtio_dev *dev)
{
	struct virtio_blk *blk = to_virtio_blk(dev);

	/* All queues drain at the same time. */
	for (unsigned int i = 0; i < dev->nr_queues; i++) {
		struct blk_vq *q = &blk->queue[i];

		if (q->started)
			hv_loop_call(q->loop, blk_vq_stop, q);
	}
	for (unsigned int i = 0; i < dev->nr_queues; i++) {
		struct blk_vq *q = &blk->queue[i];

		if (!q->started)
			continue;
		while (sem_wait(&q->drained) < 0 && errno == EINTR)
			;
		q->started = false;
	}
}

static int blk_start(struct virtio_dev *dev)
{
	struct virtio_blk *blk = to_virtio_blk(dev);
	bool flush = virtio_dev_has_feature(dev, VIRTIO_BLK_F_FLUSH);

	/* A driver that cannot flush relies on every write being durable (virtio 1.2, 5.2.6.2). */
	atomic_store(&blk->can_flush, flush);
	for (unsigned int i = 0; i < dev->nr_queues; i++) {
		struct queue_start s = { .q = &blk->queue[i] };

		if (!dev->vqs[i].enabled)
			continue;
		hv_loop_call(s.q->loop, blk_vq_start, &s);
		if (s.ret) {
			blk_stop(dev);
			return s.ret;
		}
		s.q->started = true;
	}
	return 0;
}

static void blk_reset(struct virtio_dev *dev)
{
	struct virtio_blk *blk = to_virtio_blk(dev);

	atomic_store(&blk->writeback, 1);
	for (unsigned int i = 0; i < dev->nr_queues; i++)
		blk->queue[i].nr_held = 0;
}

/* ---- State and statistics ---- */

static void blk_save(struct virtio_dev *dev, struct hv_state_writer *w)
{
	struct virtio_blk *blk = to_virtio_blk(dev);

	hv_state_begin(w, "virtio-blk", BLK_STATE_VERSION);
	hv_state_put_u64(w, blk->config.capacity);
	hv_state_put_u8(w, atomic_load(&blk->writeback));
	for (unsigned int i = 0; i < dev->nr_queues; i++) {
		const struct blk_vq *q = &blk->queue[i];

		hv_state_put_u16(w, (uint16_t)q->nr_held);
		hv_state_put(w, q->held, q->nr_held * sizeof(q->held[0]));
	}
	hv_state_end(w);
}

/* Heads are the driver's: whether chains are behind them is seen when they are read again. */
static int blk_load_held(struct virtio_blk *blk, struct hv_state_reader *r)
{
	for (unsigned int i = 0; i < blk->dev.nr_queues; i++) {
		struct blk_vq *q = &blk->queue[i];
		unsigned int n = hv_state_get_u16(r);

		if (n > q->vq->size)
			return -EINVAL;
		hv_state_get(r, q->held, n * sizeof(q->held[0]));
		q->nr_held = n;
		q->vq->inflight = n;
	}
	return 0;
}

static int blk_load(struct virtio_dev *dev, struct hv_state_reader *r, struct hv_err *err)
{
	struct virtio_blk *blk = to_virtio_blk(dev);
	int ret = hv_state_open(r, "virtio-blk", BLK_STATE_VERSION, err);
	uint64_t capacity;

	if (ret < 0)
		return ret;
	capacity = hv_state_get_u64(r);
	atomic_store(&blk->writeback, hv_state_get_u8(r) & 1);
	if (ret >= 2 && blk_load_held(blk, r))
		return hv_err_set(err, -EINVAL, "%s: the state has more requests than the queue",
				  dev->id);
	ret = hv_state_close(r, err);
	if (ret)
		return ret;
	if (capacity != blk->config.capacity)
		return hv_err_set(err, -EINVAL, "%s: the guest knows a disk of %llu sectors, '%s' has %llu",
				  dev->id, (unsigned long long)capacity, blk_filename(blk->img),
				  (unsigned long long)blk->config.capacity);
	return 0;
}

static void blk_stats(struct virtio_dev *dev, virtio_stat_fn fn, void *opaque)
{
	struct virtio_blk *blk = to_virtio_blk(dev);
	uint64_t sum[BLK_NR_STATS] = { 0 };
	static const char *const names[BLK_NR_STATS] = {
		[BLK_STAT_READS] = "reads",
		[BLK_STAT_READ_BYTES] = "read_bytes",
		[BLK_STAT_WRITES] = "writes",
		[BLK_STAT_WRITTEN_BYTES] = "written_bytes",
		[BLK_STAT_FLUSHES] = "flushes",
		[BLK_STAT_DISCARDS] = "discards",
		[BLK_STAT_WRITE_ZEROES] = "write_zeroes",
		[BLK_STAT_ERRORS] = "errors",
	};

	for (unsigned int i = 0; i < dev->nr_queues; i++)
		for (unsigned int s = 0; s < BLK_NR_STATS; s++)
			sum[s] += atomic_load_explicit(&blk->queue[i].stat[s],
						       memory_order_relaxed);
	for (unsigned int s = 0; s < BLK_NR_STATS; s++)
		fn(opaque, names[s], sum[s]);
}

/* ---- Life ---- */

struct queue_create {
	struct blk_vq *q;
	struct hv_err *err;
	int ret;
};

/* On the queue's thread: an image's queue belongs to the thread that submits. */
static void blk_vq_create(void *opaque)
{
	struct queue_create *c = opaque;

	c->q->limit_timer = hv_loop_add_timer(c->q->loop, blk_vq_limit_over, c->q);
	if (c->q->limit_timer)
		c->ret = blk_queue_create(c->q->blk->img, c->q->loop, &c->q->bq, c->err);
	else
		c->ret = hv_err_set(c->err, -ENOMEM, "%s: out of memory", c->q->blk->dev.id);
}

static void blk_vq_destroy(void *opaque)
{
	struct blk_vq *q = opaque;

	blk_vq_free_requests(q);
	if (q->bq)
		blk_queue_destroy(q->bq);
	hv_loop_del_timer(q->limit_timer);
}

static void blk_vq_detach(void *opaque)
{
	struct blk_vq *q = opaque;

	if (q->bq)
		blk_queue_destroy(q->bq);
	q->bq = NULL;
}

static void blk_vq_attach(void *opaque)
{
	struct queue_create *c = opaque;

	c->ret = blk_queue_create(c->q->blk->img, c->q->loop, &c->q->bq, c->err);
}

void virtio_blk_detach(struct virtio_dev *dev)
{
	struct virtio_blk *blk = to_virtio_blk(dev);

	for (unsigned int i = 0; i < dev->nr_queues; i++)
		hv_loop_call(blk->queue[i].loop, blk_vq_detach, &blk->queue[i]);
	blk->img = NULL;
}

int virtio_blk_attach(struct virtio_dev *dev, struct blk_image *img, struct hv_err *err)
{
	struct virtio_blk *blk = to_virtio_blk(dev);
	uint64_t capacity = blk_size(img) >> VIRTIO_BLK_SECTOR_SHIFT;
	int ret = 0;

	if (capacity != blk->config.capacity)
		return hv_err_set(err, -EINVAL, "%s: '%s' has %llu sectors, the disk in its place had %llu",
				  dev->id, blk_filename(img), (unsigned long long)capacity,
				  (unsigned long long)blk->config.capacity);
	blk->img = img;
	for (unsigned int i = 0; i < dev->nr_queues && !ret; i++) {
		struct queue_create c = { .q = &blk->queue[i], .err = err };

		hv_loop_call(c.q->loop, blk_vq_attach, &c);
		ret = c.ret;
	}
	if (ret)
		virtio_blk_detach(dev);
	return ret;
}

static int blk_vq_start_thread(struct blk_vq *q, unsigned int i, struct hv_err *err)
{
	char name[40];
	int ret;

	snprintf(name, sizeof(name), "%s-%u", q->blk->dev.id, i);
	ret = hv_io_thread_start(name, &q->thread);
	if (ret)
		return hv_err_set(err, ret, "%s: no thread for queue %u: %s", q->blk->dev.id, i,
				  strerror(-ret));
	q->loop = hv_io_thread_loop(q->thread);
	return 0;
}

static int blk_vq_init(struct virtio_blk *blk, unsigned int i, bool own_thread, struct hv_err *err)
{
	struct blk_vq *q = &blk->queue[i];
	struct queue_create c = { .q = q, .err = err };
	int ret = 0;

	q->blk = blk;
	q->vq = &blk->dev.vqs[i];
	q->complete = (struct hv_loop_deferred){ .fn = blk_vq_completed, .opaque = q };
	sem_init(&q->drained, 0, 0);
	if (own_thread || !i)
		ret = blk_vq_start_thread(q, i, err);
	else
		q->loop = blk->queue[0].loop;
	if (ret)
		return ret;
	hv_loop_call(q->loop, blk_vq_create, &c);
	return c.ret;
}

static void blk_destroy(struct virtio_dev *dev)
{
	struct virtio_blk *blk = to_virtio_blk(dev);

	for (unsigned int i = 0; i < dev->nr_queues; i++) {
		struct blk_vq *q = &blk->queue[i];

		if (q->loop)
			hv_loop_call(q->loop, blk_vq_destroy, q);
		if (q->blk)
			sem_destroy(&q->drained);
	}
	/* The first queue's thread may be that of all. */
	for (unsigned int i = 0; i < dev->nr_queues; i++)
		hv_io_thread_stop(blk->queue[i].thread);
	hv_limit_fini(&blk->limit);
	virtio_dev_fini(dev);
	free(blk);
}

static const struct virtio_dev_ops blk_ops = {
	.name = "blk",
	.device_id = VIRTIO_ID_BLK,
	.config_len = sizeof(struct blk_config_space),
	.config_read = blk_config_read,
	.config_write = blk_config_write,
	.start = blk_start,
	.stop = blk_stop,
	.reset = blk_reset,
	.save = blk_save,
	.load = blk_load,
	.stats = blk_stats,
	.destroy = blk_destroy,
};

static uint64_t blk_features(const struct virtio_blk *blk, unsigned int queues)
{
	uint64_t f = VIRTIO_FEATURE(VIRTIO_BLK_F_SEG_MAX) | VIRTIO_FEATURE(VIRTIO_BLK_F_BLK_SIZE) |
		     VIRTIO_FEATURE(VIRTIO_BLK_F_FLUSH) | VIRTIO_FEATURE(VIRTIO_BLK_F_TOPOLOGY) |
		     VIRTIO_FEATURE(VIRTIO_BLK_F_CONFIG_WCE);

	if (queues > 1)
		f |= VIRTIO_FEATURE(VIRTIO_BLK_F_MQ);
	if (blk->readonly)
		f |= VIRTIO_FEATURE(VIRTIO_BLK_F_RO);
	else
		f |= VIRTIO_FEATURE(VIRTIO_BLK_F_DISCARD) |
		     VIRTIO_FEATURE(VIRTIO_BLK_F_WRITE_ZEROES);
	return f;
}

int virtio_blk_create(const struct virtio_blk_config *cfg, struct virtio_dev **dev,
		      struct hv_err *err)
{
	unsigned int queues = cfg->queues ? cfg->queues : 1;
	unsigned int size = cfg->queue_size ? cfg->queue_size : BLK_DEFAULT_QUEUE_SIZE;
	const char *id = cfg->id ? cfg->id : "blk";
	struct virtio_blk *blk;
	int ret;

	if (queues > VIRTIO_BLK_MAX_QUEUES)
		return hv_err_set(err, -EINVAL, "%s: %u queues, up to %u are possible", id, queues,
				  VIRTIO_BLK_MAX_QUEUES);
	blk = calloc(1, sizeof(*blk) + queues * sizeof(blk->queue[0]));
	if (!blk)
		return hv_err_set(err, -ENOMEM, "%s: out of memory", id);
	blk->img = cfg->img;
	blk->readonly = blk_is_readonly(cfg->img);
	blk->on_error = cfg->on_error;
	blk->stopped = cfg->stopped;
	blk->opaque = cfg->opaque;
	atomic_init(&blk->writeback, 1);
	if (cfg->serial)
		memcpy(blk->serial, cfg->serial, strnlen(cfg->serial, VIRTIO_BLK_ID_LEN));
	blk_fill_config(blk, queues, size);
	if (cfg->seg_max && cfg->seg_max < blk->config.seg_max)
		blk->config.seg_max = cfg->seg_max;
	ret = virtio_dev_init(&blk->dev, &blk_ops, id, blk_features(blk, queues), queues, size,
			      err);
	if (ret) {
		free(blk);
		return ret;
	}
	hv_limit_init(&blk->limit, cfg->limit_iops, cfg->limit_bytes);
	for (unsigned int i = 0; i < queues && !ret; i++)
		ret = blk_vq_init(blk, i, !cfg->one_thread, err);
	if (ret) {
		blk_destroy(&blk->dev);
		return ret;
	}
	*dev = &blk->dev;
	return 0;
}
