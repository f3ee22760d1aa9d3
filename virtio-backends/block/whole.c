// SPDX-License-Identifier: GPL-2.0-or-later
/* What is done to an image as a whole, with all requests held off. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block_int.h"

#define SECTOR		512u
#define NAME_MAX_LEN	255u	/* as struct blk_snapshot has room */

static int check_writable(const struct blk_image *img, struct hv_err *err)
{
	return img->readonly ? hv_err_set(err, -EROFS, "%s: is open for reading only",
					  img->file.path) : 0;
}

int blk_snapshot(struct blk_image *img, enum blk_snapshot_op op, const char *name,
		 struct hv_err *err)
{
	struct blk_range range;
	int ret = check_writable(img, err);

	if (ret)
		return ret;
	if (!img->drv->snapshot)
		return hv_err_set(err, -ENOTSUP, "%s: a %s image has no internal snapshots",
				  img->file.path, img->drv->name);
	if (op == BLK_SNAPSHOT_CREATE && (!*name || strlen(name) > NAME_MAX_LEN))
		return hv_err_set(err, -EINVAL, "%s: the name of a snapshot has 1 to 255 bytes",
				  img->file.path);
	blk_range_enter(&img->tracker, &range, 0, UINT64_MAX, true);
	ret = img->drv->snapshot(img, op, name, err);
	blk_range_leave(&img->tracker, &range);
	return ret;
}

int blk_resize(struct blk_image *img, uint64_t size, struct hv_err *err)
{
	struct blk_range range;
	int ret = check_writable(img, err);

	if (ret)
		return ret;
	if (size % SECTOR || size > INT64_MAX)
		return hv_err_set(err, -EINVAL, "%s: a size of whole sectors (512 bytes) is wanted",
				  img->file.path);
	if (size < img->size)
		return hv_err_set(err, -EINVAL, "%s: has %llu bytes; making it smaller would lose data",
				  img->file.path, (unsigned long long)img->size);
	if (size == img->size)
		return 0;
	blk_range_enter(&img->tracker, &range, 0, UINT64_MAX, true);
	ret = img->drv->resize(img, size, err);
	blk_range_leave(&img->tracker, &range);
	return ret;
}

int blk_snapshot_list(struct blk_image *img, struct blk_snapshot **list, unsigned int *nr,
		      struct hv_err *err)
{
	*list = NULL;
	*nr = 0;
	return img->drv->snapshot_list ? img->drv->snapshot_list(img, list, nr, err) : 0;
}

int blk_check(struct blk_image *img, struct blk_check_result *res, struct hv_err *err)
{
	*res = (struct blk_check_result){ 0 };
	return img->drv->check ? img->drv->check(img, res, err) : 0;
}
