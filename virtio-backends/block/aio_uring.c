// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Asynchronous I/O by io_uring: one ring per queue, used by the queue's thread only. Transfers are
 * collected until the queue is kicked, so that a batch costs one system call; what the host's page
 * cache answers at once is completed in the same go.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

#include "block_int.h"

#define RING_ENTRIES	128
#define RING_MAX_INFLIGHT	256	/* the completion ring of that size cannot overflow */
#define REAP_BATCH	32
#define MAX_TRANSFER_IOVS	1024

struct blk_aio {
	struct io_uring ring;
	unsigned int inflight;		/* in the kernel or about to be */
	unsigned int queued;		/* prepared, not yet submitted */
	bool reaping;
	struct blk_io *backlog, **backlog_tail;
};

static int uring_create(struct blk_queue *q, struct blk_aio **res)
{
	struct blk_aio *aio = calloc(1, sizeof(*aio));
	int ret;

	if (!aio)
		return -ENOMEM;
	/* No interrupts of the thread: it looks at the ring when it waits. Linux 5.19. */
	ret = io_uring_queue_init(RING_ENTRIES, &aio->ring, IORING_SETUP_COOP_TASKRUN);
	if (ret == -EINVAL)
		ret = io_uring_queue_init(RING_ENTRIES, &aio->ring, 0);
	if (ret) {
		free(aio);
		return ret;
	}
	aio->backlog_tail = &aio->backlog;
	*res = aio;
	return 0;
}

static void uring_destroy(struct blk_aio *aio)
{
	io_uring_queue_exit(&aio->ring);
	free(aio);
}

static void uring_flush(struct blk_aio *aio)
{
	int ret;

	while (aio->queued) {
		ret = io_uring_submit(&aio->ring);
		if (ret == -EINTR)
			continue;
		if (ret <= 0)
			return;		/* short of memory: tried again at the next kick or reap */
		aio->queued -= (unsigned int)ret < aio->queued ? (unsigned int)ret : aio->queued;
	}
}

static bool uring_prepare(struct blk_aio *aio, struct blk_io *io)
{
	int cnt = io->iovcnt < MAX_TRANSFER_IOVS ? io->iovcnt : MAX_TRANSFER_IOVS;
	struct io_uring_sqe *sqe;

	if (aio->inflight >= RING_MAX_INFLIGHT)
		return false;
	sqe = io_uring_get_sqe(&aio->ring);
	if (!sqe) {
		uring_flush(aio);
		sqe = io_uring_get_sqe(&aio->ring);
		if (!sqe)
			return false;
	}
	switch (io->op) {
	case BLK_READ:
		io_uring_prep_readv(sqe, io->file->fd, io->iov, (unsigned int)cnt, io->off);
		break;
	case BLK_WRITE:
		io_uring_prep_writev2(sqe, io->file->fd, io->iov, (unsigned int)cnt, io->off,
				      io->dsync ? RWF_DSYNC : 0);
		break;
	default:
		io_uring_prep_fsync(sqe, io->file->fd, IORING_FSYNC_DATASYNC);
		break;
	}
	io_uring_sqe_set_data(sqe, io);
	aio->inflight++;
	aio->queued++;
	return true;
}

static void uring_submit(struct blk_aio *aio, struct blk_io *io)
{
	if (!aio->backlog && uring_prepare(aio, io))
		return;
	io->next = NULL;
	*aio->backlog_tail = io;
	aio->backlog_tail = &io->next;
}

static void uring_take_backlog(struct blk_aio *aio)
{
	struct blk_io *io;

	while ((io = aio->backlog) && uring_prepare(aio, io)) {
		aio->backlog = io->next;
		if (!aio->backlog)
			aio->backlog_tail = &aio->backlog;
	}
}

/* One completion: the transfer is done, failed, or goes on behind what was moved. */
static void uring_complete(struct blk_aio *aio, struct blk_io *io, int res)
{
	if (res == -EINTR || res == -EAGAIN) {
		uring_submit(aio, io);
		return;
	}
	if (res < 0 || io->op == BLK_FLUSH) {
		blk_io_done(io, res < 0 ? res : 0);
		return;
	}
	if (res == 0) {
		if (io->op == BLK_READ)		/* behind the end of the file */
			blk_iov_zero(io->iov, io->iovcnt, 0, io->left);
		blk_io_done(io, io->op == BLK_READ ? 0 : -EIO);
		return;
	}
	io->left -= (uint64_t)res;
	if (!io->left) {
		blk_io_done(io, 0);
		return;
	}
	io->off += (uint64_t)res;
	blk_iov_advance(&io->iov, &io->iovcnt, (uint64_t)res);
	uring_submit(aio, io);
}

static void uring_reap(struct blk_aio *aio)
{
	struct io_uring_cqe *cqes[REAP_BATCH];
	struct { struct blk_io *io; int res; } done[REAP_BATCH];
	unsigned int i, n;

	/* done() of a request may submit and kick: the outer call goes on. */
	if (aio->reaping)
		return;
	aio->reaping = true;
	while ((n = io_uring_peek_batch_cqe(&aio->ring, cqes, REAP_BATCH))) {
		for (i = 0; i < n; i++) {
			done[i].io = io_uring_cqe_get_data(cqes[i]);
			done[i].res = cqes[i]->res;
		}
		io_uring_cq_advance(&aio->ring, n);
		aio->inflight -= n;
		for (i = 0; i < n; i++)
			uring_complete(aio, done[i].io, done[i].res);
		uring_take_backlog(aio);
		uring_flush(aio);
	}
	aio->reaping = false;
}

static void uring_kick(struct blk_aio *aio)
{
	uring_flush(aio);
	uring_reap(aio);
}

static int uring_fd(struct blk_aio *aio)
{
	return aio->ring.ring_fd;
}

const struct blk_aio_ops blk_aio_uring = {
	.name = "io_uring",
	.create = uring_create,
	.destroy = uring_destroy,
	.submit = uring_submit,
	.kick = uring_kick,
	.reap = uring_reap,
	.fd = uring_fd,
};
