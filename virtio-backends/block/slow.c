// SPDX-License-Identifier: GPL-2.0-or-later
/* Requests on workers: everything that has to wait for more than its own data. */
#include <errno.h>
#include <stdlib.h>

#include "block_int.h"

#define IOV_ON_STACK	16

static int read_extent(struct blk_extent *ext, uint64_t off, const struct iovec *iov, int iovcnt,
		       uint64_t pos, struct iovec *tmp)
{
	int cnt;

	switch (ext->kind) {
	case BLK_EXT_ZERO:
		blk_iov_zero(iov, iovcnt, pos, ext->len);
		return 0;
	case BLK_EXT_DATA:
		cnt = blk_iov_slice(tmp, iov, iovcnt, pos, ext->len);
		return blk_file_preadv(ext->file, tmp, cnt, ext->host);
	case BLK_EXT_COMPRESSED:
		return ext->img->drv->read_compressed(ext->img, ext->host, off, iov, iovcnt, pos,
						      ext->len);
	}
	return -EIO;
}

int blk_read_sync(struct blk_image *img, uint64_t off, const struct iovec *iov, int iovcnt,
		  uint64_t len)
{
	struct iovec stack[IOV_ON_STACK], *tmp = stack;
	struct blk_extent ext;
	uint64_t pos = 0;
	int ret = 0;

	if (iovcnt > IOV_ON_STACK) {
		tmp = malloc((size_t)iovcnt * sizeof(*tmp));
		if (!tmp)
			return -ENOMEM;
	}
	while (pos < len && !ret) {
		ret = img->drv->map(img, off + pos, len - pos, true, &ext);
		if (ret)
			break;
		ret = read_extent(&ext, off + pos, iov, iovcnt, pos, tmp);
		pos += ext.len;
	}
	if (tmp != stack)
		free(tmp);
	return ret;
}

int blk_read_buf(struct blk_image *img, uint64_t off, void *buf, uint64_t len)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };

	return blk_read_sync(img, off, &iov, 1, len);
}

static int request_change(struct blk_image *img, struct blk_req *req)
{
	switch (req->op) {
	case BLK_WRITE:
		return img->drv->write(img, req->offset, req->iov, req->iovcnt, req->len);
	case BLK_DISCARD:
		return img->drv->discard(img, req->offset, req->len);
	case BLK_WRITE_ZEROES:
		return img->drv->zero(img, req->offset, req->len, req->flags & BLK_REQ_UNMAP);
	default:
		return -EINVAL;
	}
}

static int request_run(struct blk_image *img, struct blk_req *req)
{
	int ret;

	if (req->op == BLK_READ)
		return blk_read_sync(img, req->offset, req->iov, req->iovcnt, req->len);
	if (req->op == BLK_FLUSH)
		return img->drv->flush(img);
	ret = request_change(img, req);
	if (!ret && ((req->op == BLK_WRITE && (req->flags & BLK_REQ_FUA)) ||
		     (img->outlives_process && !img->drv->flush_simple(img))))
		ret = img->drv->flush(img);
	return ret;
}

int blk_request_sync(struct blk_image *img, struct blk_req *req)
{
	uint64_t mask = img->align - 1;
	struct blk_range range;
	int ret;

	if (!img->serialise || req->op == BLK_FLUSH)
		return request_run(img, req);
	blk_range_enter(&img->tracker, &range, req->offset & ~mask,
			(req->offset + req->len + mask) & ~mask, req->op != BLK_READ);
	ret = request_run(img, req);
	blk_range_leave(&img->tracker, &range);
	return ret;
}
