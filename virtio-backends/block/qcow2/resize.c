// SPDX-License-Identifier: GPL-2.0-or-later
/* Growing an image. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "qcow2.h"

/* A longer L1 table, of the same disk still. */
static int grow_l1(struct qcow2 *q, uint64_t need, struct hv_err *err)
{
	struct qcow2_shadow s;
	uint64_t *l1;
	int ret;

	ret = qcow2_shadow_begin(&s, q, "cannot get a longer L1 table", err);
	if (!ret) {
		l1 = realloc(s.l1, need * 8);
		if (l1) {
			memset(l1 + s.l1_size, 0, (need - s.l1_size) * 8);
			s.l1 = l1;
		} else {
			ret = qcow2_count_fail(&s.c, -ENOMEM, "the L1 table");
		}
	}
	if (!ret) {
		s.c.drop = true;
		ret = qcow2_count_range(&s.c, "the L1 table", q->l1_offset, q->l1_size * 8ull);
		s.c.drop = false;
	}
	if (!ret) {
		s.l1_size = (uint32_t)need;
		ret = qcow2_shadow_commit(&s);
	}
	qcow2_shadow_end(&s);
	return ret;
}

static uint64_t l1_entries(const struct qcow2 *q, uint64_t size)
{
	unsigned int bits = q->l2_bits + q->cluster_bits;

	return (size >> bits) + !!(size & ((1ull << bits) - 1));
}

/* Entries behind the disk hold the state of a VM that another program is about to save. */
static int check_tail(struct qcow2 *q, uint64_t need, struct hv_err *err)
{
	for (uint64_t i = l1_entries(q, q->img.size); i < need && i < q->l1_size; i++)
		if (q->l1[i])
			return hv_err_set(err, -EBUSY, "%s: cannot be resized: there is data behind "
					  "its end", q->img.file.path);
	return 0;
}

static int write_size(struct qcow2 *q, uint64_t size)
{
	uint64_t be = htobe64(size);
	int ret;

	ret = blk_file_pwrite(&q->img.file, &be, sizeof(be), offsetof(struct qcow2_header, size));
	return ret ? ret : blk_file_sync(&q->img.file);
}

/* The cache of slices is made for a size. Everything in it is clean. */
static int grow_cache(struct qcow2 *q, uint64_t size)
{
	int ret;

	pthread_mutex_lock(&q->map_lock);
	qcow2_l2_fini(q);
	q->img.size = size;
	ret = qcow2_l2_init(q);
	pthread_mutex_unlock(&q->map_lock);
	if (ret)
		atomic_store(&q->broken, true);
	return ret;
}

int qcow2_resize(struct blk_image *img, uint64_t size, struct hv_err *err)
{
	struct qcow2 *q = to_qcow2(img);
	uint64_t need = l1_entries(q, size), old = img->size, below;
	int ret;

	if (need > QCOW2_MAX_L1_BYTES / 8)
		return hv_err_set(err, -EFBIG, "%s: too large for clusters of %llu bytes",
				  img->file.path, (unsigned long long)q->cluster_size);
	below = img->backing ? img->backing->size : 0;
	if (below > size)
		below = size;
	pthread_mutex_lock(&q->flush_lock);
	pthread_mutex_lock(&q->alloc_lock);
	ret = check_tail(q, need, err);
	if (!ret && need > q->l1_size)
		ret = grow_l1(q, need, err);
	pthread_mutex_unlock(&q->alloc_lock);
	pthread_mutex_unlock(&q->flush_lock);
	if (ret)
		return ret;
	/* What the backing image has behind our old end must not come to light. */
	if (below > old)
		ret = qcow2_zero(img, old, below - old, true);
	if (!ret)
		ret = qcow2_flush(img);
	pthread_mutex_lock(&q->flush_lock);
	pthread_mutex_lock(&q->alloc_lock);
	if (!ret)
		ret = write_size(q, size);
	if (!ret)
		ret = grow_cache(q, size);
	pthread_mutex_unlock(&q->alloc_lock);
	pthread_mutex_unlock(&q->flush_lock);
	return ret ? hv_err_set(err, ret, "%s: cannot be resized: %s", img->file.path,
				strerror(-ret)) : 0;
}
