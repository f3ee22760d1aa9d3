// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Queues: where requests come in and completions go out. A request whose whole range is mapped (in
 * cached tables) to data or zeroes is turned into asynchronous transfers here, on the submitting
 * thread; all others run on a worker.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "block_int.h"

#define CTX_EXTENTS	8	/* more pieces than this go to a worker */
#define CTX_IOVS	40	/* in the context itself; more are allocated */
#define CTX_KEEP	64	/* idle contexts a queue keeps */

/* What the layer needs of a request in flight. */
struct blk_ctx {
	struct blk_ctx *next;		/* idle, or done */
	struct blk_queue *q;
	struct blk_req *req;
	struct blk_job job;
	struct blk_range range;
	bool ranged;
	int ret;
	unsigned int pending;		/* transfers under way, plus one while submitting */
	struct iovec *iov;		/* iovs or allocated */
	struct blk_io io[CTX_EXTENTS];
	struct iovec iovs[CTX_IOVS];
};

struct blk_queue {
	struct blk_image *img;
	struct hv_loop *loop;
	const struct blk_aio_ops *aio_ops;
	struct blk_aio *aio;
	struct hv_loop_fd *aio_watch, *done_watch;
	int done_fd;			/* eventfd: something is on one of the done lists */
	unsigned int inflight;
	unsigned int nidle;
	struct blk_ctx *idle;

	pthread_mutex_t lock;		/* the lists that other threads add to */
	struct blk_ctx *done;		/* workers' requests, newest first */
	struct blk_io *io_done;		/* transfers of an engine that has threads */
};

const struct blk_aio_ops *blk_aio_force;

struct blk_pool *blk_queue_pool(struct blk_queue *q)
{
	return q->img->pool;
}

static struct blk_ctx *ctx_get(struct blk_queue *q, struct blk_req *req)
{
	struct blk_ctx *ctx = q->idle;

	if (ctx) {
		q->idle = ctx->next;
		q->nidle--;
	} else {
		ctx = malloc(sizeof(*ctx));
		if (!ctx)
			return NULL;
	}
	ctx->q = q;
	ctx->req = req;
	ctx->ranged = false;
	ctx->ret = 0;
	ctx->pending = 0;
	ctx->iov = ctx->iovs;
	q->inflight++;
	return ctx;
}

/* The end of a request: its context may be reused by what done() submits. */
static void ctx_finish(struct blk_ctx *ctx)
{
	struct blk_queue *q = ctx->q;
	struct blk_req *req = ctx->req;
	int ret = ctx->ret;

	if (ctx->ranged)
		blk_range_leave(&q->img->tracker, &ctx->range);
	if (ctx->iov != ctx->iovs)
		free(ctx->iov);
	if (q->nidle < CTX_KEEP) {
		ctx->next = q->idle;
		q->idle = ctx;
		q->nidle++;
	} else {
		free(ctx);
	}
	q->inflight--;
	req->done(req, ret);
}

static void queue_wake(struct blk_queue *q)
{
	eventfd_write(q->done_fd, 1);
}

/* From any thread: finish @ctx on the queue's. */
static void ctx_post(struct blk_ctx *ctx)
{
	struct blk_queue *q = ctx->q;
	bool wake;

	pthread_mutex_lock(&q->lock);
	wake = !q->done && !q->io_done;
	ctx->next = q->done;
	q->done = ctx;
	/* Under the lock: the queue may be gone as soon as its thread has seen the last request. */
	if (wake)
		queue_wake(q);
	pthread_mutex_unlock(&q->lock);
}

void blk_io_done(struct blk_io *io, int ret)
{
	struct blk_ctx *ctx = io->ctx;

	if (ret && !ctx->ret)
		ctx->ret = ret;
	if (!--ctx->pending)
		ctx_finish(ctx);
}

void blk_io_done_remote(struct blk_io *io, int ret)
{
	struct blk_queue *q = io->ctx->q;
	bool wake;

	io->ret = ret;
	pthread_mutex_lock(&q->lock);
	wake = !q->done && !q->io_done;
	io->next = q->io_done;
	q->io_done = io;
	if (wake)
		queue_wake(q);
	pthread_mutex_unlock(&q->lock);
}

static void queue_done_event(void *opaque, uint32_t events)
{
	struct blk_queue *q = opaque;
	struct blk_ctx *ctx, *next;
	struct blk_io *io, *io_next;
	eventfd_t n;

	eventfd_read(q->done_fd, &n);
	pthread_mutex_lock(&q->lock);
	ctx = q->done;
	io = q->io_done;
	q->done = NULL;
	q->io_done = NULL;
	pthread_mutex_unlock(&q->lock);

	for (; io; io = io_next) {
		io_next = io->next;
		blk_io_done(io, io->ret);
	}
	for (; ctx; ctx = next) {
		next = ctx->next;
		ctx_finish(ctx);
	}
}

static void queue_aio_event(void *opaque, uint32_t events)
{
	struct blk_queue *q = opaque;

	q->aio_ops->reap(q->aio);
}

/* ---- slow path ---- */

static void ctx_work(struct blk_job *job)
{
	struct blk_ctx *ctx = (struct blk_ctx *)((char *)job - offsetof(struct blk_ctx, job));

	ctx->ret = blk_request_sync(ctx->q->img, ctx->req);
	ctx_post(ctx);
}

static void ctx_submit_slow(struct blk_ctx *ctx)
{
	ctx->job.fn = ctx_work;
	blk_pool_run(ctx->q->img->pool, &ctx->job);
}

/* ---- fast path ---- */

static bool ctx_enter_range(struct blk_ctx *ctx)
{
	struct blk_image *img = ctx->q->img;
	struct blk_req *req = ctx->req;
	uint64_t mask = img->align - 1;

	if (!img->serialise)
		return true;
	ctx->ranged = blk_range_try(&img->tracker, &ctx->range, req->offset & ~mask,
				    (req->offset + req->len + mask) & ~mask);
	return ctx->ranged;
}

static void ctx_leave_range(struct blk_ctx *ctx)
{
	if (ctx->ranged)
		blk_range_leave(&ctx->q->img->tracker, &ctx->range);
	ctx->ranged = false;
}

/* Number of extents, or -EAGAIN and the like when a worker has to look at it. */
static int ctx_map(struct blk_ctx *ctx, struct blk_extent *ext)
{
	struct blk_image *img = ctx->q->img;
	struct blk_req *req = ctx->req;
	uint64_t pos = 0;
	int n = 0, ret;

	while (pos < req->len) {
		if (n == CTX_EXTENTS)
			return -E2BIG;
		ret = img->drv->map(img, req->offset + pos, req->len - pos, false, &ext[n]);
		if (ret)
			return ret;
		if (ext[n].kind == BLK_EXT_COMPRESSED)
			return -EAGAIN;
		if (req->op == BLK_WRITE && (ext[n].kind != BLK_EXT_DATA || !ext[n].in_place))
			return -EAGAIN;
		pos += ext[n++].len;
	}
	return n;
}

static bool ctx_submit_rw(struct blk_ctx *ctx)
{
	struct blk_extent ext[CTX_EXTENTS];
	struct blk_queue *q = ctx->q;
	struct blk_req *req = ctx->req;
	struct iovec *iov;
	uint64_t pos = 0;
	int i, n;

	if (!ctx_enter_range(ctx))
		return false;
	n = ctx_map(ctx, ext);
	if (n < 0)
		goto slow;
	/* A piece that ends inside an element needs one more. */
	if (req->iovcnt + n > CTX_IOVS) {
		ctx->iov = malloc(((size_t)req->iovcnt + (size_t)n) * sizeof(*ctx->iov));
		if (!ctx->iov) {
			ctx->iov = ctx->iovs;
			goto slow;
		}
	}
	iov = ctx->iov;
	ctx->pending = 1;
	for (i = 0; i < n; i++) {
		struct blk_io *io = &ctx->io[i];

		if (ext[i].kind == BLK_EXT_ZERO) {
			blk_iov_zero(req->iov, req->iovcnt, pos, ext[i].len);
			pos += ext[i].len;
			continue;
		}
		io->ctx = ctx;
		io->file = ext[i].file;
		io->op = req->op;
		io->dsync = req->op == BLK_WRITE && (req->flags & BLK_REQ_FUA);
		io->off = ext[i].host;
		io->left = ext[i].len;
		io->iov = iov;
		io->iovcnt = blk_iov_slice(iov, req->iov, req->iovcnt, pos, ext[i].len);
		iov += io->iovcnt;
		pos += ext[i].len;
		ctx->pending++;
		q->aio_ops->submit(q->aio, io);
	}
	if (!--ctx->pending)
		ctx_post(ctx);	/* never from inside submit */
	return true;
slow:
	ctx_leave_range(ctx);
	return false;
}

static void ctx_submit_flush(struct blk_ctx *ctx)
{
	struct blk_io *io = &ctx->io[0];

	memset(io, 0, sizeof(*io));
	io->ctx = ctx;
	io->file = &ctx->q->img->file;
	io->op = BLK_FLUSH;
	ctx->pending = 1;
	ctx->q->aio_ops->submit(ctx->q->aio, io);
}

/* 0, or what is wrong with the request. */
static int req_check(const struct blk_image *img, const struct blk_req *req)
{
	bool changes = req->op == BLK_WRITE || req->op == BLK_DISCARD ||
		       req->op == BLK_WRITE_ZEROES;

	if (changes && img->readonly)
		return -EROFS;
	if (req->op == BLK_FLUSH)
		return 0;
	if (req->offset > img->size || req->len > img->size - req->offset)
		return -EINVAL;
	if (req->op == BLK_READ || req->op == BLK_WRITE) {
		if (req->iovcnt < 0 || blk_iov_len(req->iov, req->iovcnt) != req->len)
			return -EINVAL;
	}
	return 0;
}

static void req_oom_done(void *opaque)
{
	struct blk_req *req = opaque;
	struct blk_queue *q = req->priv.ptr[0];

	q->inflight--;
	req->done(req, -ENOMEM);
}

void blk_submit(struct blk_queue *q, struct blk_req *req)
{
	struct blk_image *img = q->img;
	struct blk_ctx *ctx = ctx_get(q, req);
	bool fua = req->op == BLK_WRITE && ((req->flags & BLK_REQ_FUA) || img->outlives_process);

	if (!ctx) {
		q->inflight++;
		req->priv.ptr[0] = q;
		if (hv_loop_post(q->loop, req_oom_done, req))
			req_oom_done(req);
		return;
	}
	ctx->ret = req_check(img, req);
	if (ctx->ret || (req->op == BLK_FLUSH ? img->readonly : !req->len)) {
		ctx_post(ctx);
		return;
	}
	switch (req->op) {
	case BLK_FLUSH:
		if (img->drv->flush_simple(img)) {
			ctx_submit_flush(ctx);
			return;
		}
		break;
	case BLK_READ:
	case BLK_WRITE:
		/* Durable also means that the mapping is. */
		if (fua && !img->drv->flush_simple(img))
			break;
		if (ctx_submit_rw(ctx))
			return;
		break;
	default:
		break;
	}
	ctx_submit_slow(ctx);
}

void blk_kick(struct blk_queue *q)
{
	q->aio_ops->kick(q->aio);
}

unsigned int blk_inflight(const struct blk_queue *q)
{
	return q->inflight;
}

/* ---- life ---- */

static int queue_watch(struct blk_queue *q)
{
	int fd;

	q->done_watch = hv_loop_add_fd(q->loop, q->done_fd, EPOLLIN, queue_done_event, q);
	if (!q->done_watch)
		return -errno;
	fd = q->aio_ops->fd(q->aio);
	if (fd < 0)
		return 0;
	q->aio_watch = hv_loop_add_fd(q->loop, fd, EPOLLIN, queue_aio_event, q);
	return q->aio_watch ? 0 : -errno;
}

static int queue_open_aio(struct blk_queue *q)
{
	const struct blk_aio_ops *ops = blk_aio_force;
	int ret;

	if (q->img->file.trace)
		ops = &blk_aio_pool;
	if (!ops) {
		q->aio_ops = &blk_aio_uring;
		ret = q->aio_ops->create(q, &q->aio);
		if (!ret)
			return 0;
		/* No io_uring on this host or not for us: threads do as well. */
		ops = &blk_aio_pool;
	}
	q->aio_ops = ops;
	return ops->create(q, &q->aio);
}

int blk_queue_create(struct blk_image *img, struct hv_loop *loop, struct blk_queue **res,
		     struct hv_err *err)
{
	struct blk_queue *q = calloc(1, sizeof(*q));
	int ret = -ENOMEM;

	if (!q)
		goto fail;
	q->img = img;
	q->loop = loop;
	pthread_mutex_init(&q->lock, NULL);
	atomic_fetch_add(&img->queues, 1);
	q->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->done_fd < 0)
		ret = -errno;
	else
		ret = queue_open_aio(q);
	if (!ret)
		ret = queue_watch(q);
	if (!ret) {
		*res = q;
		return 0;
	}
	blk_queue_destroy(q);
fail:
	return hv_err_set(err, ret, "%s: cannot create a request queue: %s", img->file.path,
			  strerror(-ret));
}

void blk_queue_set_image(struct blk_queue *q, struct blk_image *img)
{
	atomic_fetch_sub(&q->img->queues, 1);
	q->img = img;
	atomic_fetch_add(&q->img->queues, 1);
}

void blk_queue_destroy(struct blk_queue *q)
{
	struct blk_ctx *ctx;

	if (!q)
		return;
	if (q->aio_watch)
		hv_loop_del_fd(q->aio_watch);
	if (q->done_watch)
		hv_loop_del_fd(q->done_watch);
	if (q->aio)
		q->aio_ops->destroy(q->aio);
	if (q->done_fd >= 0)
		close(q->done_fd);
	while ((ctx = q->idle)) {
		q->idle = ctx->next;
		free(ctx);
	}
	/* A worker may be about to leave the critical section in which it posted the last one. */
	pthread_mutex_lock(&q->lock);
	pthread_mutex_unlock(&q->lock);
	pthread_mutex_destroy(&q->lock);
	atomic_fetch_sub(&q->img->queues, 1);
	free(q);
}
