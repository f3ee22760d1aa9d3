// SPDX-License-Identifier: GPL-2.0-or-later
/* Asynchronous I/O by worker threads, for hosts where io_uring is missing or forbidden. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "block_int.h"

struct blk_aio {
	struct blk_pool *pool;
};

static int pool_aio_create(struct blk_queue *q, struct blk_aio **aio)
{
	*aio = malloc(sizeof(**aio));
	if (!*aio)
		return -ENOMEM;
	(*aio)->pool = blk_queue_pool(q);
	return 0;
}

static void pool_aio_destroy(struct blk_aio *aio)
{
	free(aio);
}

static void pool_aio_work(struct blk_job *job)
{
	struct blk_io *io = (struct blk_io *)((char *)job - offsetof(struct blk_io, job));
	int ret;

	switch (io->op) {
	case BLK_READ:
		ret = blk_file_preadv(io->file, io->iov, io->iovcnt, io->off);
		break;
	case BLK_WRITE:
		ret = blk_file_pwritev(io->file, io->iov, io->iovcnt, io->off);
		if (!ret && io->dsync)
			ret = blk_file_sync(io->file);
		break;
	case BLK_FLUSH:
		ret = blk_file_sync(io->file);
		break;
	default:
		ret = -EINVAL;
	}
	blk_io_done_remote(io, ret);
}

static void pool_aio_submit(struct blk_aio *aio, struct blk_io *io)
{
	io->job.fn = pool_aio_work;
	blk_pool_run(aio->pool, &io->job);
}

static void pool_aio_kick(struct blk_aio *aio)
{
}

static int pool_aio_fd(struct blk_aio *aio)
{
	return -1;
}

const struct blk_aio_ops blk_aio_pool = {
	.name = "threads",
	.create = pool_aio_create,
	.destroy = pool_aio_destroy,
	.submit = pool_aio_submit,
	.kick = pool_aio_kick,
	.reap = pool_aio_kick,
	.fd = pool_aio_fd,
};
