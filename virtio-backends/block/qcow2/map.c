// SPDX-License-Identifier: GPL-2.0-or-later
/* Where guest data is. */
#include <errno.h>

#include "qcow2.h"

/* A run of clusters of one kind, as far as one slice knows. */
struct run {
	enum cluster_kind kind;
	uint64_t entry;			/* of the first */
	uint64_t len;
};

static void run_find(struct qcow2 *q, const struct l2_slice *s, uint64_t off, uint64_t len,
		     struct run *run)
{
	uint32_t i = qcow2_l2_index(q, off), n = 1u << q->slice_bits;
	uint64_t entry = qcow2_l2_get(s, i), next = entry;

	run->kind = qcow2_classify(q, entry);
	run->entry = entry;
	run->len = q->cluster_size - (off & (q->cluster_size - 1));
	/* Compressed clusters are read one by one. */
	while (run->len < len && ++i < n && run->kind != CLUSTER_COMPRESSED) {
		if (run->kind == CLUSTER_NORMAL) {
			next += q->cluster_size;
			if (qcow2_l2_get(s, i) != next || qcow2_classify(q, next) != run->kind)
				break;
		} else if (qcow2_classify(q, qcow2_l2_get(s, i)) != run->kind) {
			break;
		}
		run->len += q->cluster_size;
	}
	if (run->len > len)
		run->len = len;
}

/* Under map_lock. False: the slice is not cached. */
static bool run_lookup(struct qcow2 *q, uint64_t off, uint64_t len, struct run *run)
{
	uint64_t span = qcow2_slice_span(q);
	struct l2_slice *s;

	if (!(qcow2_l1_entry(q, off) & QCOW2_OFFSET_MASK)) {
		run->kind = CLUSTER_UNALLOCATED;
		run->entry = 0;
		run->len = span - (off & (span - 1));
		if (run->len > len)
			run->len = len;
		return true;
	}
	s = qcow2_l2_cached(q, off);
	if (!s)
		return false;
	s->used = true;
	run_find(q, s, off, len, run);
	return true;
}

static int run_get(struct qcow2 *q, uint64_t off, uint64_t len, bool wait, struct run *run)
{
	struct l2_slice *s;
	bool found;
	int ret;

	for (;;) {
		pthread_mutex_lock(&q->map_lock);
		found = run_lookup(q, off, len, run);
		pthread_mutex_unlock(&q->map_lock);
		if (found && (run->kind != CLUSTER_BAD || wait))
			return 0;
		if (!wait)
			return -EAGAIN;
		pthread_mutex_lock(&q->alloc_lock);
		ret = qcow2_l2_load(q, off, &s);
		pthread_mutex_unlock(&q->alloc_lock);
		if (ret)
			return ret;
	}
}

int qcow2_map(struct blk_image *img, uint64_t off, uint64_t len, bool wait,
	      struct blk_extent *ext)
{
	struct qcow2 *q = to_qcow2(img);
	struct run run;
	int ret;

	ret = run_get(q, off, len, wait, &run);
	if (ret)
		return ret;
	*ext = (struct blk_extent){ .img = img, .file = &img->file, .len = run.len };
	switch (run.kind) {
	case CLUSTER_NORMAL:
		ext->kind = BLK_EXT_DATA;
		ext->host = (run.entry & QCOW2_OFFSET_MASK) + (off & (q->cluster_size - 1));
		ext->in_place = run.entry & QCOW2_COPIED && !atomic_load(&q->broken);
		return 0;
	case CLUSTER_COMPRESSED:
		ext->kind = BLK_EXT_COMPRESSED;
		ext->host = run.entry;
		return 0;
	case CLUSTER_UNALLOCATED:
		if (img->backing && off < img->backing->size) {
			if (run.len > img->backing->size - off)
				run.len = img->backing->size - off;
			ret = img->backing->drv->map(img->backing, off, run.len, wait, ext);
			ext->in_place = false;
			return ret;
		}
		/* fall through */
	case CLUSTER_ZERO:
		ext->kind = BLK_EXT_ZERO;
		return 0;
	case CLUSTER_BAD:
		break;
	}
	return qcow2_mark_corrupt(q, "a table entry is invalid:", run.entry);
}

int qcow2_allocated(struct blk_image *img, uint64_t off, uint64_t len, bool *allocated,
		    uint64_t *n)
{
	struct qcow2 *q = to_qcow2(img);
	struct run run;
	int ret;

	ret = run_get(q, off, len, true, &run);
	if (ret)
		return ret;
	*allocated = run.kind != CLUSTER_UNALLOCATED;
	*n = run.len;
	return 0;
}
