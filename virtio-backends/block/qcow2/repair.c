// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Refcounts of an image that was in use with lazy refcounts when its user died: count all
 * references anew. Nothing is written before everything was found in order.
 */
#include <errno.h>
#include <stdlib.h>

#include "qcow2.h"

#define MAX_CLUSTERS	(64u << 20)	/* 4 TiB of 64 KiB clusters: 256 MiB for counting */

struct counts {
	struct qcow2 *q;
	struct hv_err *err;
	uint32_t *n;			/* references to each cluster */
	uint64_t clusters, room;
};

static int count_fail(struct counts *c, int ret, const char *what)
{
	return hv_err_set(c->err, ret,
			  "%s: was not closed, and its refcounts cannot be rebuilt: %s%s%s; see qemu-img check -r all",
			  c->q->img.file.path, what, ret == -EINVAL ? "" : ": ",
			  ret == -EINVAL ? "" : strerror(-ret));
}

static int count_range(struct counts *c, const char *what, uint64_t off, uint64_t len)
{
	uint64_t i, end;

	if (!len)
		return 0;
	end = off + len < off ? UINT64_MAX : qcow2_clusters(c->q, off + len);
	if (end > c->clusters)
		return count_fail(c, -EINVAL, what);
	for (i = off >> c->q->cluster_bits; i < end; i++) {
		if (c->n[i] == UINT32_MAX)
			return count_fail(c, -EINVAL, "too many references");
		c->n[i]++;
	}
	return 0;
}

static int count_l2(struct counts *c, uint64_t off, uint64_t *buf)
{
	struct qcow2 *q = c->q;
	uint64_t i, entry, host, len;
	int ret;

	ret = blk_file_pread(&q->img.file, buf, q->cluster_size, off);
	if (ret)
		return count_fail(c, ret, "cannot read an L2 table");
	for (i = 0; i < q->cluster_size / 8 && !ret; i++) {
		entry = be64toh(buf[i]);
		if (entry & QCOW2_COMPRESSED) {
			qcow2_compressed_extent(q, entry, &host, &len);
			/* The last sector may be cut off. */
			if (host < c->clusters << q->cluster_bits &&
			    len > (c->clusters << q->cluster_bits) - host)
				len = (c->clusters << q->cluster_bits) - host;
			ret = count_range(c, "a compressed cluster is outside of the file", host,
					  len);
		} else if (entry & QCOW2_OFFSET_MASK) {
			host = entry & QCOW2_OFFSET_MASK;
			if (host & (q->cluster_size - 1))
				return count_fail(c, -EINVAL, "an L2 entry is not aligned");
			ret = count_range(c, "a data cluster is outside of the file", host,
					  q->cluster_size);
		}
	}
	return ret;
}

/* @be: the table is in disk byte order. */
static int count_l1(struct counts *c, const uint64_t *l1, uint32_t entries, bool be)
{
	uint64_t *buf = malloc(c->q->cluster_size), off;
	uint32_t i;
	int ret = 0;

	if (!buf)
		return count_fail(c, -ENOMEM, "reading tables");
	for (i = 0; i < entries && !ret; i++) {
		off = (be ? be64toh(l1[i]) : l1[i]) & QCOW2_OFFSET_MASK;
		if (!off)
			continue;
		if (off & (c->q->cluster_size - 1)) {
			ret = count_fail(c, -EINVAL, "an L1 entry is not aligned");
			break;
		}
		ret = count_range(c, "an L2 table is outside of the file", off,
				  c->q->cluster_size);
		if (!ret)
			ret = count_l2(c, off, buf);
	}
	free(buf);
	return ret;
}

static int count_snapshot(struct counts *c, const struct qcow2_snapshot_entry *e)
{
	uint64_t off = be64toh(e->l1_table_offset), *l1;
	uint32_t entries = be32toh(e->l1_size);
	int ret;

	if (entries > QCOW2_MAX_L1_BYTES / 8 || off & (c->q->cluster_size - 1))
		return count_fail(c, -EINVAL, "an L1 table of a snapshot is invalid");
	ret = count_range(c, "an L1 table of a snapshot is outside of the file", off,
			  entries * 8ull);
	if (ret || !entries)
		return ret;
	l1 = malloc(entries * 8ull);
	if (!l1)
		return count_fail(c, -ENOMEM, "reading a snapshot");
	ret = blk_file_pread(&c->q->img.file, l1, entries * 8ull, off);
	if (ret)
		ret = count_fail(c, ret, "cannot read a snapshot's L1 table");
	else
		ret = count_l1(c, l1, entries, true);
	free(l1);
	return ret;
}

static int count_snapshots(struct counts *c)
{
	uint64_t pos = c->q->snapshots_offset, len;
	struct qcow2_snapshot_entry e;
	uint32_t i;
	int ret = 0;

	for (i = 0; i < c->q->nb_snapshots && !ret; i++) {
		ret = blk_file_pread(&c->q->img.file, &e, sizeof(e), pos);
		if (ret)
			return count_fail(c, ret, "cannot read the snapshot table");
		len = sizeof(e) + be32toh(e.extra_data_size) + be16toh(e.id_size) +
		      (uint64_t)be16toh(e.name_size);
		pos += (len + 7) & ~7ull;
		if (pos > c->clusters << c->q->cluster_bits)
			return count_fail(c, -EINVAL, "the snapshot table is outside of the file");
		ret = count_snapshot(c, &e);
	}
	if (!ret)
		ret = count_range(c, "the snapshot table is outside of the file",
				  c->q->snapshots_offset, pos - c->q->snapshots_offset);
	return ret;
}

static int count_bitmap_range(void *opaque, const char *what, uint64_t off, uint64_t len)
{
	return count_range(opaque, what, off, len);
}

static int count_bitmaps(struct counts *c)
{
	int ret = qcow2_bitmaps_walk(c->q, count_bitmap_range, c);

	return ret ? count_fail(c, ret, "its bitmaps are not in order") : 0;
}

static int count_all(struct counts *c)
{
	struct qcow2 *q = c->q;
	uint32_t i;
	int ret;

	ret = count_range(c, "the header", 0, 1);
	if (!ret)
		ret = count_range(c, "the L1 table", q->l1_offset, q->l1_size * 8ull);
	if (!ret)
		ret = count_range(c, "the refcount table", q->rt_offset,
				  (uint64_t)q->rt_clusters << q->cluster_bits);
	for (i = 0; i < q->rt_entries && !ret; i++)
		if (q->rt[i])
			ret = count_range(c, "a refcount block is outside of the file", q->rt[i],
					  q->cluster_size);
	if (!ret)
		ret = count_l1(c, q->l1, q->l1_size, false);
	if (!ret)
		ret = count_snapshots(c);
	if (!ret)
		ret = count_bitmaps(c);
	return ret;
}

/* A cluster behind all others, used once. */
static int count_append(struct counts *c, uint64_t *cluster)
{
	uint32_t *n;

	if (c->clusters == c->room) {
		n = realloc(c->n, (c->room + 1024) * sizeof(*n));
		if (!n)
			return count_fail(c, -ENOMEM, "adding refcount blocks");
		c->n = n;
		c->room += 1024;
	}
	*cluster = c->clusters++;
	c->n[*cluster] = 1;
	return 0;
}

/* Place a longer refcount table behind everything if the one in use is too short. */
static int repair_table(struct counts *c)
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
		return count_fail(c, -EFBIG, "its refcount table");
	rt = realloc(q->rt, entries * sizeof(*rt));
	q->rt = rt ? rt : q->rt;
	rb = realloc(q->rb, entries * sizeof(*rb));
	q->rb = rb ? rb : q->rb;
	dirty = realloc(q->rt_dirty, (entries + 63) / 64);
	q->rt_dirty = dirty ? dirty : q->rt_dirty;
	if (!rt || !rb || !dirty)
		return count_fail(c, -ENOMEM, "its refcount table");
	memset(rt + q->rt_entries, 0, (entries - q->rt_entries) * sizeof(*rt));
	memset(rb + q->rt_entries, 0, (entries - q->rt_entries) * sizeof(*rb));
	memset(dirty, 0, (entries + 63) / 64);
	for (i = 0; i < clusters; i++) {
		ret = count_append(c, &at);
		if (ret)
			return ret;
	}
	/* The old table stays counted until the header has changed. */
	old = q->rt_offset >> q->cluster_bits;
	ret = qcow2_unlink(q, old, q->rt_clusters);
	if (ret)
		return count_fail(c, ret, "its refcount table");
	q->rt_entries = (uint32_t)entries;
	q->rt_offset = (at + 1 - clusters) << q->cluster_bits;
	q->rt_clusters = (uint32_t)clusters;
	q->rt_moved = true;
	return 0;
}

/* Blocks for all ranges that have something to count. */
static int repair_blocks(struct counts *c)
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
			return count_fail(c, -EFBIG, "its refcount table");
		ret = count_append(c, &cluster);
		if (ret)
			return ret;
		q->rb[i].data = calloc(1, q->cluster_size);
		if (!q->rb[i].data)
			return count_fail(c, -ENOMEM, "adding refcount blocks");
		q->rb_loaded++;
		qcow2_refblock_dirty(q, &q->rb[i], 0, q->cluster_size);
		q->rt[i] = cluster << q->cluster_bits;
		q->rt_dirty[i / 64] = 1;
		q->rt_any_dirty = true;
	}
	return 0;
}

static int repair_apply(struct counts *c)
{
	struct qcow2 *q = c->q;
	uint64_t i, old, max = (uint64_t)q->rt_entries << q->rb_bits;
	int ret;

	if (max < c->clusters)
		return count_fail(c, -EFBIG, "its refcount table");
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
			return count_fail(c, ret, "changing refcounts");
	}
	return 0;
}

int qcow2_repair_refcounts(struct qcow2 *q, struct hv_err *err)
{
	uint64_t incompat = atomic_load(&q->incompat);
	struct counts c = { .q = q, .err = err };
	int ret;

	c.clusters = (q->img.file.blockdev ? q->file_end : atomic_load(&q->limit)) >>
		     q->cluster_bits;
	c.room = c.clusters + 1024;
	if (c.clusters > MAX_CLUSTERS)
		return count_fail(&c, -EFBIG, "the image");
	c.n = calloc(c.room, sizeof(*c.n));
	if (!c.n)
		return count_fail(&c, -ENOMEM, "counting");
	ret = count_all(&c);
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
			count_fail(&c, ret, "writing");
	}
	free(c.n);
	return ret;
}
