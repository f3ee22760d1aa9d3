// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Asynchronous I/O by io_uring: one ring per queue, used by the queue's thread only. Transfers are
 * collected until the queue is kicked, so that a batch costs one system call; what the host's page
 * cache answers at once is completed in the same go.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <unistd.h>

#include "block_int.h"

#define RING_ENTRIES	128
#define RING_MAX_INFLIGHT	256	/* the completion ring of that size cannot overflow */
#define REAP_BATCH	32
#define MAX_TRANSFER_IOVS	1024
#define SUBMIT_RETRY_US		1000

/*
 * A small write of whole pages to a file is a copy into the page cache. Most file systems would
 * hand it to a kernel thread for fear of having to wait; doing it here costs a tenth. If it does
 * take long (the host throttles writers), the next ones go through the ring, so that the thread
 * stays free for reads.
 */
#define COPY_MAX	(64u << 10)
#define COPY_ALIGN	4096u
#define COPY_SLOW_NS	1000000u
#define COPY_BACKOFF	64u

struct blk_aio {
	struct io_uring ring;
	unsigned int inflight;		/* in the kernel or about to be */
	unsigned int queued;		/* prepared, not yet submitted */
	bool reaping;
	struct blk_io *backlog, **backlog_tail;
	struct blk_io *copied;		/* done, with their results */
	unsigned int backoff;		/* writes that must go through the ring */
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
		if (ret <= 0) {
			/*
			 * Short of memory. Tried again when something completes, if anything will.
			 */
			if (aio->inflight > aio->queued)
				return;
			usleep(SUBMIT_RETRY_US);
			continue;
		}
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

static bool uring_copy(struct blk_aio *aio, struct blk_io *io)
{
	uint64_t start;

	if (io->op != BLK_WRITE || io->dsync || io->file->blockdev || io->left > COPY_MAX ||
	    (io->off | io->left) % COPY_ALIGN)
		return false;
	if (aio->backoff) {
		aio->backoff--;
		return false;
	}
	start = hv_loop_now_ns();
	io->ret = blk_file_pwritev(io->file, io->iov, io->iovcnt, io->off);
	if (hv_loop_now_ns() - start > COPY_SLOW_NS)
		aio->backoff = COPY_BACKOFF;
	io->next = aio->copied;
	aio->copied = io;
	return true;
}

static void uring_submit(struct blk_aio *aio, struct blk_io *io)
{
	if (uring_copy(aio, io))
		return;
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
	if (io->op == BLK_FLUSH || io->dsync)
		res = blk_file_sync_result(io->file, res);
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

static bool uring_reap_copied(struct blk_aio *aio)
{
	struct blk_io *io = aio->copied, *next;

	aio->copied = NULL;
	if (!io)
		return false;
	for (; io; io = next) {
		next = io->next;
		blk_io_done(io, io->ret);
	}
	return true;
}

static unsigned int uring_reap_ring(struct blk_aio *aio)
{
	struct io_uring_cqe *cqes[REAP_BATCH];
	struct { struct blk_io *io; int res; } done[REAP_BATCH];
	unsigned int i, n;

	n = io_uring_peek_batch_cqe(&aio->ring, cqes, REAP_BATCH);
	for (i = 0; i < n; i++) {
		done[i].io = io_uring_cqe_get_data(cqes[i]);
		done[i].res = cqes[i]->res;
	}
	io_uring_cq_advance(&aio->ring, n);
	aio->inflight -= n;
	for (i = 0; i < n; i++)
		uring_complete(aio, done[i].io, done[i].res);
	return n;
}

static void uring_reap(struct blk_aio *aio)
{
	/* done() of a request may submit and kick: the outer call goes on. */
	if (aio->reaping)
		return;
	aio->reaping = true;
	while (uring_reap_copied(aio) || uring_reap_ring(aio)) {
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
