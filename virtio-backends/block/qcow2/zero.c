// SPDX-License-Identifier: GPL-2.0-or-later
/* Discard and write-zeroes: whole clusters change their kind, the ends are written. */
#include <errno.h>
#include <stdlib.h>

#include "qcow2.h"

enum clear_mode {
	CLEAR_DISCARD,		/* any contents but those of the backing image */
	CLEAR_ZERO_UNMAP,
	CLEAR_ZERO_KEEP,	/* zeroes, keeping the clusters */
};

#define WRITE_CHUNK	(256u << 10)

static bool backing_covers(const struct qcow2 *q, uint64_t off)
{
	return q->img.backing && off < q->img.backing->size;
}

/*
 * The new entry for a cluster that reads @below (is there something in the backing image?) when
 * unallocated. Version 2 has no zero clusters; its callers see to it that they are not needed.
 */
static uint64_t cleared_entry(const struct qcow2 *q, enum clear_mode mode, bool below,
			      enum cluster_kind kind, uint64_t entry)
{
	uint64_t plain = below ? QCOW2_ZERO : 0;
	bool own = (entry & QCOW2_COPIED) && !(entry & QCOW2_COMPRESSED);

	switch (kind) {
	case CLUSTER_UNALLOCATED:
		return mode == CLEAR_DISCARD ? entry : plain;
	case CLUSTER_ZERO:
		if (mode == CLEAR_ZERO_KEEP || !(entry & QCOW2_OFFSET_MASK))
			return entry;
		return plain;
	case CLUSTER_NORMAL:
		if (mode == CLEAR_ZERO_KEEP && own && q->version >= 3)
			return entry | QCOW2_ZERO;
		return plain;
	default:
		return plain;
	}
}

/* Clusters [idx, idx + n) of one slice. alloc_lock. */
static int clear_slice(struct qcow2 *q, struct l2_slice *s, uint64_t off, uint64_t n,
		       enum clear_mode mode)
{
	uint32_t idx = qcow2_l2_index(q, off);
	uint64_t i, entry, next;
	enum cluster_kind kind;
	int ret = 0;

	for (i = 0; i < n && !ret; i++, idx++, off += q->cluster_size) {
		entry = qcow2_l2_get(s, idx);
		kind = qcow2_classify(q, entry);
		if (kind == CLUSTER_BAD)
			return qcow2_mark_corrupt(q, "a table entry is invalid:", entry);
		next = cleared_entry(q, mode, backing_covers(q, off), kind, entry);
		if (next == entry)
			continue;
		qcow2_l2_set(q, s, idx, next);
		if (!(next & QCOW2_OFFSET_MASK))
			ret = qcow2_unlink_entry(q, entry);
	}
	return ret;
}

/* Whole clusters. The range is held exclusively. */
static int clear_clusters(struct qcow2 *q, uint64_t off, uint64_t end, enum clear_mode mode)
{
	uint64_t span = qcow2_slice_span(q), stop;
	struct l2_slice *s;
	int ret = 0;

	for (; off < end && !ret; off = stop) {
		stop = (off & ~(span - 1)) + span;
		if (stop > end)
			stop = end;
		s = NULL;
		pthread_mutex_lock(&q->alloc_lock);
		if (atomic_load(&q->broken))
			ret = -EIO;
		/* Nothing here and nothing below: reads as zeroes already. */
		else if (!(qcow2_l1_entry(q, off) & QCOW2_OFFSET_MASK) &&
			 (mode == CLEAR_DISCARD || !backing_covers(q, off)))
			ret = 0;
		else
			ret = qcow2_l2_load_for_write(q, off, &s);
		if (!ret && s)
			ret = clear_slice(q, s, off, qcow2_clusters(q, stop - off), mode);
		pthread_mutex_unlock(&q->alloc_lock);
	}
	return ret;
}

static bool reads_as_zero(struct qcow2 *q, uint64_t off, uint64_t len)
{
	struct blk_extent ext;

	for (; len; off += ext.len, len -= ext.len)
		if (qcow2_map(&q->img, off, len, true, &ext) || ext.kind != BLK_EXT_ZERO)
			return false;
	return true;
}

static int write_zeroes(struct qcow2 *q, uint64_t off, uint64_t len)
{
	uint64_t chunk = len < WRITE_CHUNK ? len : WRITE_CHUNK, n;
	void *zeroes;
	int ret = 0;

	if (!len || reads_as_zero(q, off, len))
		return 0;
	zeroes = calloc(1, chunk);
	if (!zeroes)
		return -ENOMEM;
	for (; len && !ret; off += n, len -= n) {
		struct iovec iov = { .iov_base = zeroes };

		n = len < chunk ? len : chunk;
		iov.iov_len = n;
		ret = qcow2_write(&q->img, off, &iov, 1, n);
	}
	free(zeroes);
	return ret;
}

/* The whole clusters in [off, off + len); what the image's end cuts off counts as whole. */
static void whole_clusters(const struct qcow2 *q, uint64_t off, uint64_t len, uint64_t *start,
			   uint64_t *end)
{
	uint64_t mask = q->cluster_size - 1;

	*start = (off + mask) & ~mask;
	*end = off + len == q->img.size ? (off + len + mask) & ~mask : (off + len) & ~mask;
}

int qcow2_discard(struct blk_image *img, uint64_t off, uint64_t len)
{
	struct qcow2 *q = to_qcow2(img);
	uint64_t start, end, below;

	whole_clusters(q, off, len, &start, &end);
	if (q->version < 3 && img->backing) {
		/* Cannot say "zero, whatever is below": only clear what has nothing below. */
		below = qcow2_clusters(q, img->backing->size) << q->cluster_bits;
		if (start < below)
			start = below;
	}
	return start < end ? clear_clusters(q, start, end, CLEAR_DISCARD) : 0;
}

int qcow2_zero(struct blk_image *img, uint64_t off, uint64_t len, bool unmap)
{
	struct qcow2 *q = to_qcow2(img);
	uint64_t start, end, stop = off + len, below;
	int ret;

	whole_clusters(q, off, len, &start, &end);
	if (q->version < 3 && img->backing) {
		below = qcow2_clusters(q, img->backing->size) << q->cluster_bits;
		if (start < below)
			start = below;
	}
	if (start >= end)
		return write_zeroes(q, off, len);
	ret = write_zeroes(q, off, start - off);
	if (!ret)
		ret = clear_clusters(q, start, end, unmap ? CLEAR_ZERO_UNMAP : CLEAR_ZERO_KEEP);
	if (!ret && end < stop)
		ret = write_zeroes(q, end, stop - end);
	return ret;
}
