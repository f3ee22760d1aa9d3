// SPDX-License-Identifier: GPL-2.0-or-later
/* Requests of the virtio block device (virtio 1.2, 5.2.6); see blk.h. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "blk_internal.h"
#include "util/log.h"

#define INLINE_IOV	8
#define LOG_INTERVAL_NS	1000000000ULL

/* A request in flight. */
struct blk_io {
	struct blk_req req;
	struct blk_vq *q;
	struct blk_io *next;		/* free list */
	uint32_t type;
	uint16_t head;
	uint8_t *status;		/* in guest memory */
	uint32_t written;		/* into the guest's buffers with the status, on success */

	struct iovec *iov;		/* data, without header and status */
	unsigned int iov_cap;
	struct iovec inline_iov[INLINE_IOV];

	/* Discard and write-zeroes: one after the other. */
	unsigned int segments, segment;
	struct blk_segment seg[BLK_MAX_SEGMENTS];
};

static void blk_count(struct blk_vq *q, enum blk_stat s, uint64_t n)
{
	/* One writer: no need of an atomic addition. */
	atomic_store_explicit(&q->stat[s],
			      atomic_load_explicit(&q->stat[s], memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/* ---- Allocation ---- */

/* The virtqueue bounds what can be in flight, and so what is ever allocated. */
static struct blk_io *blk_io_get(struct blk_vq *q, unsigned int iov)
{
	struct blk_io *io = q->free;

	if (io) {
		q->free = io->next;
	} else {
		io = calloc(1, sizeof(*io));
		if (!io)
			return NULL;
		io->q = q;
		io->iov = io->inline_iov;
		io->iov_cap = INLINE_IOV;
	}
	if (iov > io->iov_cap) {
		struct iovec *v = malloc(iov * sizeof(*v));

		if (!v) {
			io->next = q->free;
			q->free = io;
			return NULL;
		}
		if (io->iov != io->inline_iov)
			free(io->iov);
		io->iov = v;
		io->iov_cap = iov;
	}
	return io;
}

static void blk_io_put(struct blk_io *io)
{
	io->next = io->q->free;
	io->q->free = io;
}

void blk_vq_free_requests(struct blk_vq *q)
{
	while (q->free) {
		struct blk_io *io = q->free;

		q->free = io->next;
		if (io->iov != io->inline_iov)
			free(io->iov);
		free(io);
	}
}

/* ---- Completion ---- */

void blk_vq_completed(void *opaque)
{
	struct blk_vq *q = opaque;

	virtq_flush(q->vq);
}

void blk_vq_drained(struct blk_vq *q)
{
	hv_loop_cancel_deferred(q->loop, &q->complete);
	virtq_flush(q->vq);
	sem_post(&q->drained);
}

static void blk_io_finish(struct blk_io *io, uint8_t status)
{
	struct blk_vq *q = io->q;

	if (status != VIRTIO_BLK_S_OK)
		blk_count(q, BLK_STAT_ERRORS, 1);
	*(volatile uint8_t *)io->status = status;
	/* On an error nobody knows how much of the data is there: only the status counts. */
	virtq_push(q->vq, io->head, status == VIRTIO_BLK_S_OK ? io->written : 1);
	blk_io_put(io);
	q->inflight--;
	if (q->stopping && !q->inflight)
		blk_vq_drained(q);
	else
		hv_loop_defer(q->loop, &q->complete);
}

/* Keep a request that failed; the driver sees it as still in flight. */
static void blk_io_hold(struct blk_io *io, int error)
{
	struct blk_vq *q = io->q;
	struct virtio_blk *blk = q->blk;

	blk_count(q, BLK_STAT_ERRORS, 1);
	q->held[q->nr_held++] = io->head;
	blk_io_put(io);
	q->inflight--;
	if (blk->stopped)
		blk->stopped(blk->opaque, blk->dev.id, error);
	if (q->stopping && !q->inflight)
		blk_vq_drained(q);
}

static void blk_io_ignore(struct blk_io *io)
{
	blk_count(io->q, BLK_STAT_ERRORS, 1);
	if (io->type == VIRTIO_BLK_T_IN)
		for (int i = 0; i < io->req.iovcnt; i++)
			memset(io->iov[i].iov_base, 0, io->iov[i].iov_len);
	blk_io_finish(io, VIRTIO_BLK_S_OK);
}

/* The host could not do it. */
static void blk_io_failed(struct blk_io *io, int ret)
{
	switch (io->q->blk->on_error) {
	case VIRTIO_BLK_REPORT:
		blk_io_finish(io, VIRTIO_BLK_S_IOERR);
		break;
	case VIRTIO_BLK_STOP:
		blk_io_hold(io, ret);
		break;
	case VIRTIO_BLK_IGNORE:
		blk_io_ignore(io);
		break;
	}
}

static const char *blk_op_name(uint32_t type)
{
	switch (type) {
	case VIRTIO_BLK_T_IN:
		return "read";
	case VIRTIO_BLK_T_OUT:
		return "write";
	case VIRTIO_BLK_T_FLUSH:
		return "flush";
	case VIRTIO_BLK_T_DISCARD:
		return "discard";
	default:
		return "write-zeroes";
	}
}

/* Tell the user that the host could not do it; at most once a second and device. */
static void blk_io_log(struct blk_io *io, int ret)
{
	struct virtio_blk *blk = io->q->blk;
	uint64_t now = hv_loop_now_ns();
	uint64_t last = atomic_load(&blk->logged);

	if ((last && now - last < LOG_INTERVAL_NS) ||
	    !atomic_compare_exchange_strong(&blk->logged, &last, now))
		return;
	hv_log("%s: %s of %llu bytes at %llu of '%s' failed: %s", blk->dev.id,
	       blk_op_name(io->type), (unsigned long long)io->req.len,
	       (unsigned long long)io->req.offset, blk_filename(blk->img), strerror(-ret));
}

static void blk_submit_segment(struct blk_io *io);

static void blk_io_done(struct blk_req *req, int ret)
{
	struct blk_io *io = req->opaque;
	bool unmap = io->type == VIRTIO_BLK_T_DISCARD || io->type == VIRTIO_BLK_T_WRITE_ZEROES;

	if (ret && unmap && (ret == -EOPNOTSUPP || ret == -ENOTSUP)) {
		blk_io_finish(io, VIRTIO_BLK_S_UNSUPP);
	} else if (ret) {
		blk_io_log(io, ret);
		blk_io_failed(io, ret);
	} else if (unmap && ++io->segment < io->segments) {
		blk_submit_segment(io);
		blk_kick(io->q->bq);
	} else {
		blk_io_finish(io, VIRTIO_BLK_S_OK);
	}
}

/* ---- Submission ---- */

static void blk_io_submit(struct blk_io *io, enum blk_op op, uint32_t flags, uint64_t offset,
			  uint64_t len, int iovcnt)
{
	io->req.op = op;
	io->req.flags = flags;
	io->req.offset = offset;
	io->req.len = len;
	io->req.iov = io->iov;
	io->req.iovcnt = iovcnt;
	io->req.done = blk_io_done;
	io->req.opaque = io;
	blk_submit(io->q->bq, &io->req);
}

static bool blk_range_ok(const struct virtio_blk *blk, uint64_t sector, uint64_t sectors)
{
	return sector <= blk->config.capacity && sectors <= blk->config.capacity - sector;
}

/* Copy n buffers but for @skip bytes at the start and what exceeds @len; returns their number. */
static unsigned int iov_slice(struct iovec *dst, const struct iovec *src, unsigned int n,
			      uint64_t skip, uint64_t len)
{
	unsigned int out = 0;

	for (unsigned int i = 0; i < n && len; i++) {
		uint64_t part = src[i].iov_len;

		if (skip >= part) {
			skip -= part;
			continue;
		}
		part -= skip;
		if (part > len)
			part = len;
		dst[out].iov_base = (char *)src[i].iov_base + skip;
		dst[out++].iov_len = part;
		len -= part;
		skip = 0;
	}
	return out;
}

static void blk_do_rw(struct blk_io *io, const struct virtq_chain *c, uint64_t sector)
{
	struct blk_vq *q = io->q;
	struct virtio_blk *blk = q->blk;
	bool write = io->type == VIRTIO_BLK_T_OUT;
	uint64_t len = write ? c->out_len - sizeof(struct blk_request_header) : c->in_len - 1;
	uint32_t flags = 0;
	unsigned int n;

	if (write)
		n = iov_slice(io->iov, c->iov, c->out_num, sizeof(struct blk_request_header), len);
	else
		n = iov_slice(io->iov, c->iov + c->out_num, c->in_num, 0, len);
	if ((len & (VIRTIO_BLK_SECTOR_SIZE - 1)) || n > IOV_MAX || (write && blk->readonly) ||
	    !blk_range_ok(blk, sector, len >> VIRTIO_BLK_SECTOR_SHIFT)) {
		blk_io_finish(io, VIRTIO_BLK_S_IOERR);
		return;
	}
	if (!len) {
		blk_io_finish(io, VIRTIO_BLK_S_OK);
		return;
	}
	blk_count(q, write ? BLK_STAT_WRITES : BLK_STAT_READS, 1);
	blk_count(q, write ? BLK_STAT_WRITTEN_BYTES : BLK_STAT_READ_BYTES, len);
	if (write && !(atomic_load_explicit(&blk->can_flush, memory_order_relaxed) &&
		       atomic_load_explicit(&blk->writeback, memory_order_relaxed)))
		flags = BLK_REQ_FUA;
	if (!write)
		io->written += (uint32_t)len;
	blk_io_submit(io, write ? BLK_WRITE : BLK_READ, flags, sector << VIRTIO_BLK_SECTOR_SHIFT,
		      len, (int)n);
}

static void blk_submit_segment(struct blk_io *io)
{
	const struct blk_segment *s = &io->seg[io->segment];
	bool zero = io->type == VIRTIO_BLK_T_WRITE_ZEROES;
	bool unmap = s->flags & VIRTIO_BLK_SEGMENT_UNMAP;

	blk_io_submit(io, zero ? BLK_WRITE_ZEROES : BLK_DISCARD, zero && unmap ? BLK_REQ_UNMAP : 0,
		      s->sector << VIRTIO_BLK_SECTOR_SHIFT,
		      (uint64_t)s->num_sectors << VIRTIO_BLK_SECTOR_SHIFT, 0);
}

/* Returns the status with which to refuse the segments, or S_OK. */
static uint8_t blk_check_segments(const struct blk_io *io)
{
	const struct virtio_blk *blk = io->q->blk;
	bool zero = io->type == VIRTIO_BLK_T_WRITE_ZEROES;
	uint32_t known = zero ? VIRTIO_BLK_SEGMENT_UNMAP : 0;
	uint32_t max = zero ? blk->config.max_write_zeroes_sectors :
			      blk->config.max_discard_sectors;

	for (unsigned int i = 0; i < io->segments; i++) {
		const struct blk_segment *s = &io->seg[i];

		if (s->flags & ~known)
			return VIRTIO_BLK_S_UNSUPP;
		if (!s->num_sectors || s->num_sectors > max ||
		    !blk_range_ok(blk, s->sector, s->num_sectors))
			return VIRTIO_BLK_S_IOERR;
	}
	return VIRTIO_BLK_S_OK;
}

static void blk_do_segments(struct blk_io *io, const struct virtq_chain *c)
{
	uint64_t len = c->out_len - sizeof(struct blk_request_header);
	uint8_t status;

	if (io->q->blk->readonly || !len || len % sizeof(struct blk_segment) ||
	    len > sizeof(io->seg)) {
		blk_io_finish(io, io->q->blk->readonly ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR);
		return;
	}
	virtq_iov_to_buf(c->iov, c->out_num, sizeof(struct blk_request_header), io->seg, len);
	io->segments = (unsigned int)(len / sizeof(struct blk_segment));
	io->segment = 0;
	status = blk_check_segments(io);
	if (status != VIRTIO_BLK_S_OK) {
		blk_io_finish(io, status);
		return;
	}
	blk_count(io->q, io->type == VIRTIO_BLK_T_DISCARD ? BLK_STAT_DISCARDS :
							    BLK_STAT_WRITE_ZEROES, 1);
	blk_submit_segment(io);
}

static void blk_do_get_id(struct blk_io *io, const struct virtq_chain *c)
{
	uint64_t room = c->in_len - 1;
	size_t len = room < VIRTIO_BLK_ID_LEN ? room : VIRTIO_BLK_ID_LEN;

	virtq_iov_from_buf(c->iov + c->out_num, c->in_num, 0, io->q->blk->serial, len);
	io->written += (uint32_t)len;
	blk_io_finish(io, VIRTIO_BLK_S_OK);
}

static void blk_charge(struct blk_io *io, const struct virtq_chain *c)
{
	uint64_t bytes = 0;

	if (io->type == VIRTIO_BLK_T_IN)
		bytes = c->in_len - 1;
	else if (io->type == VIRTIO_BLK_T_OUT)
		bytes = c->out_len - sizeof(struct blk_request_header);
	hv_limit_charge(&io->q->blk->limit, 1, bytes);
}

static void blk_io_start(struct blk_io *io, const struct virtq_chain *c, uint64_t sector)
{
	blk_charge(io, c);
	switch (io->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		blk_do_rw(io, c, sector);
		break;
	case VIRTIO_BLK_T_FLUSH:
		blk_count(io->q, BLK_STAT_FLUSHES, 1);
		blk_io_submit(io, BLK_FLUSH, 0, 0, 0, 0);
		break;
	case VIRTIO_BLK_T_GET_ID:
		blk_do_get_id(io, c);
		break;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		blk_do_segments(io, c);
		break;
	default:
		blk_io_finish(io, VIRTIO_BLK_S_UNSUPP);
		break;
	}
}

/* Returns false if the device is broken now. */
static bool blk_handle_chain(struct blk_vq *q, const struct virtq_chain *c)
{
	const struct iovec *last = c->iov + c->out_num + c->in_num - 1;
	struct blk_request_header hdr;
	struct blk_io *io;

	if (c->out_len < sizeof(hdr) || !c->in_len) {
		virtio_dev_fail(&q->blk->dev, "queue %u: request without header or status",
				q->vq->index);
		return false;
	}
	io = blk_io_get(q, c->out_num + c->in_num);
	if (!io) {
		virtio_dev_fail(&q->blk->dev, "out of memory");
		return false;
	}
	virtq_iov_to_buf(c->iov, c->out_num, 0, &hdr, sizeof(hdr));
	io->type = hdr.type;
	io->head = c->head;
	io->status = (uint8_t *)last->iov_base + last->iov_len - 1;
	io->written = 1;
	q->inflight++;
	blk_io_start(io, c, hdr.sector);
	return true;
}

void blk_vq_retry(struct blk_vq *q)
{
	uint16_t head[VIRTQ_MAX_SIZE];
	unsigned int n = q->nr_held;
	struct virtq_chain c;

	memcpy(head, q->held, n * sizeof(head[0]));
	q->nr_held = 0;
	for (unsigned int i = 0; i < n; i++)
		if (virtq_retake(q->vq, head[i], &c) < 0 || !blk_handle_chain(q, &c))
			break;
	blk_kick(q->bq);
}

/* True if the device's limit is reached: the timer goes on. */
static bool blk_limited(struct blk_vq *q)
{
	uint64_t until = hv_limit_wait_now(&q->blk->limit);

	if (until)
		hv_loop_arm_timer(q->limit_timer, until);
	return until;
}

void blk_vq_limit_over(void *opaque)
{
	blk_vq_kicked(opaque, 0);
}

void blk_vq_kicked(void *opaque, uint32_t events)
{
	struct blk_vq *q = opaque;
	/* A driver that adds requests all the time must not keep us from anything else. */
	unsigned int budget = q->vq->size;
	struct virtq_chain c;

	virtq_clear_kick(q->vq);
	if (hv_loop_timer_armed(q->limit_timer))
		return;
	do {
		virtq_disable_kicks(q->vq);
		while (budget && !blk_limited(q) && virtq_pop(q->vq, &c) > 0) {
			if (!blk_handle_chain(q, &c))
				break;
			budget--;
		}
		if (virtio_dev_is_broken(&q->blk->dev) || hv_loop_timer_armed(q->limit_timer))
			break;
		if (!budget) {
			virtio_dev_notify_queue(&q->blk->dev, q->vq->index);
			break;
		}
	} while (virtq_enable_kicks(q->vq));
	blk_kick(q->bq);
}
