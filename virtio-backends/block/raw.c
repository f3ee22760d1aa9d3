// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Raw images: a file or block device as it is. A file whose size is no multiple of the sector size
 * looks as if filled up with zeroes; writing there extends it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block_int.h"

#define SECTOR		512u
#define RAW_CLUSTER	4096u	/* smallest piece worth giving back to the host */

static int raw_map(struct blk_image *img, uint64_t off, uint64_t len, bool wait,
		   struct blk_extent *ext)
{
	*ext = (struct blk_extent){
		.kind = BLK_EXT_DATA,
		.in_place = true,
		.file = &img->file,
		.img = img,
		.host = off,
		.len = len,
	};
	return 0;
}

static int raw_write(struct blk_image *img, uint64_t off, const struct iovec *iov, int iovcnt,
		     uint64_t len)
{
	struct iovec *tmp = malloc(((size_t)iovcnt + 1) * sizeof(*tmp));
	int ret;

	if (!tmp)
		return -ENOMEM;
	ret = blk_file_pwritev(&img->file, tmp, blk_iov_slice(tmp, iov, iovcnt, 0, len), off);
	free(tmp);
	return ret;
}

static int raw_discard(struct blk_image *img, uint64_t off, uint64_t len)
{
	int ret = blk_file_punch(&img->file, off, len);

	return ret == -EOPNOTSUPP ? 0 : ret;	/* only a hint */
}

static int raw_zero(struct blk_image *img, uint64_t off, uint64_t len, bool unmap)
{
	/* Discarded blocks of a device need not read as zeroes; holes of a file do. */
	if (unmap && !img->file.blockdev && !blk_file_punch(&img->file, off, len))
		return 0;
	return blk_file_zero(&img->file, off, len);
}

static int raw_flush(struct blk_image *img)
{
	return blk_file_sync(&img->file);
}

static bool raw_flush_simple(struct blk_image *img)
{
	return true;
}

static int raw_allocated(struct blk_image *img, uint64_t off, uint64_t len, bool *allocated,
			 uint64_t *n)
{
	*allocated = true;
	*n = len;
	return 0;
}

/* A block device cannot be changed from here: whoever owns it has made it larger. */
static int raw_resize(struct blk_image *img, uint64_t size, struct hv_err *err)
{
	int64_t now;
	int ret = 0;

	if (img->file.blockdev) {
		now = blk_file_size(&img->file);
		if (now < 0 || (uint64_t)now < size)
			return hv_err_set(err, -ENOSPC, "%s: the device has %lld bytes only",
					  img->file.path, (long long)now);
	} else {
		ret = blk_file_truncate(&img->file, size);
		if (!ret)
			ret = blk_file_sync(&img->file);
	}
	if (ret)
		return hv_err_set(err, ret, "%s: cannot be resized: %s", img->file.path,
				  strerror(-ret));
	img->size = size;
	return 0;
}

static int raw_close(struct blk_image *img)
{
	return img->readonly ? 0 : blk_file_sync(&img->file);
}

static void raw_free(struct blk_image *img)
{
	free(img);
}

static const struct blk_driver raw_driver = {
	.name = "raw",
	.free = raw_free,
	.close = raw_close,
	.map = raw_map,
	.write = raw_write,
	.discard = raw_discard,
	.zero = raw_zero,
	.flush = raw_flush,
	.flush_simple = raw_flush_simple,
	.allocated = raw_allocated,
	.resize = raw_resize,
};

int blk_raw_open(struct blk_file *file, bool readonly, struct blk_image **res,
		 struct hv_err *err)
{
	int64_t size = blk_file_size(file);
	struct blk_image *img;

	if (size < 0)
		return hv_err_set(err, (int)size, "%s: cannot find out its size: %s", file->path,
				  strerror((int)-size));
	img = calloc(1, sizeof(*img));
	if (!img)
		return hv_err_set(err, -ENOMEM, "%s: out of memory", file->path);
	img->drv = &raw_driver;
	img->size = ((uint64_t)size + SECTOR - 1) & ~(uint64_t)(SECTOR - 1);
	img->align = RAW_CLUSTER;
	img->readonly = readonly;
	*res = img;
	return 0;
}
