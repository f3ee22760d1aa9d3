// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Refcounts of an image that was in use with lazy refcounts when its user died: count all
 * references anew. Nothing is written before everything was found in order.
 */
#include <errno.h>
#include <stdlib.h>

#include "qcow2.h"

/* Place a longer refcount table behind everything if the one in use is too short. */
static int repair_table(struct qcow2_counts *c)
{
	struct qcow2 *q = c->q;
	uint64_t need = (c->clusters >> q->rb_bits) + 1, entries, clusters, i, at = 0, old;
	uint64_t *rt;
	struct refcount_block *rb;
	uint8_t *dirty;
	int ret;

	/* New blocks, and what counts them, go to the end as well. */
	if (need + need / 8 + 2 <= q->rt_entries)
		return 0;
	clusters = qcow2_clusters(q, (need * 3 / 2 + 2) * 8);
	entries = clusters << q->cluster_bits >> 3;
	if (entries * 8 > QCOW2_MAX_REFTABLE_BYTES)
		return qcow2_count_fail(c, -EFBIG, "its refcount table");
	rt = realloc(q->rt, entries * sizeof(*rt));
	q->rt = rt ? rt : q->rt;
	rb = realloc(q->rb, entries * sizeof(*rb));
	q->rb = rb ? rb : q->rb;
	dirty = realloc(q->rt_dirty, (entries + 63) / 64);
	q->rt_dirty = dirty ? dirty : q->rt_dirty;
	if (!rt || !rb || !dirty)
		return qcow2_count_fail(c, -ENOMEM, "its refcount table");
	memset(rt + q->rt_entries, 0, (entries - q->rt_entries) * sizeof(*rt));
	memset(rb + q->rt_entries, 0, (entries - q->rt_entries) * sizeof(*rb));
	memset(dirty, 0, (entries + 63) / 64);
	for (i = 0; i < clusters; i++) {
		ret = qcow2_count_append(c, &at);
		if (ret)
			return ret;
	}
	/* The old table stays counted until the header has changed. */
	old = q->rt_offset >> q->cluster_bits;
	ret = qcow2_unlink(q, old, q->rt_clusters);
	if (ret)
		return qcow2_count_fail(c, ret, "its refcount table");
	q->rt_entries = (uint32_t)entries;
	q->rt_offset = (at + 1 - clusters) << q->cluster_bits;
	q->rt_clusters = (uint32_t)clusters;
	q->rt_moved = true;
	return 0;
}

/* Blocks for all ranges that have something to count. */
static int repair_blocks(struct qcow2_counts *c)
{
	struct qcow2 *q = c->q;
	uint64_t i, k, first, cluster = 0;
	bool used;
	int ret;

	for (i = 0; i << q->rb_bits < c->clusters; i++) {
		first = i << q->rb_bits;
		used = false;
		for (k = first; k < first + (1ull << q->rb_bits) && k < c->clusters; k++)
			used |= c->n[k] != 0;
		if (!used || (i < q->rt_entries && q->rt[i]))
			continue;
		if (i >= q->rt_entries)
			return qcow2_count_fail(c, -EFBIG, "its refcount table");
		ret = qcow2_count_append(c, &cluster);
		if (ret)
			return ret;
		q->rb[i].data = calloc(1, q->cluster_size);
		if (!q->rb[i].data)
			return qcow2_count_fail(c, -ENOMEM, "adding refcount blocks");
		q->rb_loaded++;
		qcow2_refblock_dirty(q, &q->rb[i], 0, q->cluster_size);
		q->rt[i] = cluster << q->cluster_bits;
		q->rt_dirty[i / 64] = 1;
		q->rt_any_dirty = true;
	}
	return 0;
}

static int repair_apply(struct qcow2_counts *c)
{
	struct qcow2 *q = c->q;
	uint64_t i, old, max = (uint64_t)q->rt_entries << q->rb_bits;
	int ret;

	if (max < c->clusters)
		return qcow2_count_fail(c, -EFBIG, "its refcount table");
	for (i = 0; i < max; i++) {
		uint64_t want = i < c->clusters ? c->n[i] : 0;

		if (!q->rt[i >> q->rb_bits]) {
			i |= (1ull << q->rb_bits) - 1;
			continue;
		}
		ret = qcow2_refcount_get(q, i, &old);
		if (!ret && old != want)
			ret = qcow2_refcount_set(q, i, want);
		if (ret)
			return qcow2_count_fail(c, ret, "changing refcounts");
	}
	return 0;
}

int qcow2_repair_refcounts(struct qcow2 *q, struct hv_err *err)
{
	uint64_t incompat = atomic_load(&q->incompat);
	struct qcow2_counts c;
	int ret;

	ret = qcow2_count_init(&c, q, "was not closed, and its refcounts cannot be rebuilt", err);
	if (ret)
		return ret;
	ret = qcow2_count_all(&c);
	if (!ret)
		ret = repair_table(&c);
	if (!ret)
		ret = repair_blocks(&c);
	if (!ret)
		ret = repair_apply(&c);
	if (!ret) {
		qcow2_set_limit(q, c.clusters << q->cluster_bits);
		if (q->zero_from < q->file_end)
			q->zero_from = q->file_end;
		ret = qcow2_flush_meta(q, true);
		if (!ret)
			ret = qcow2_write_incompat(q, incompat & ~QCOW2_INCOMPAT_DIRTY);
		if (!ret)
			ret = blk_file_sync(&q->img.file);
		if (ret)
			qcow2_count_fail(&c, ret, "writing");
	}
	free(c.n);
	return ret;
}
