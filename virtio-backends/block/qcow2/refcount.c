// SPDX-License-Identifier: GPL-2.0-or-later
/* The refcount table and the cache of refcount blocks. Everything here is under alloc_lock. */
#include <errno.h>
#include <stdlib.h>

#include "qcow2.h"

#define BLOCK_CACHE_BYTES	(8u << 20)
#define BLOCK_CACHE_MIN		4u
#define WRITE_UNIT		4096u		/* smallest part of a block to write */

static uint64_t rt_dirty_bytes(uint32_t entries)
{
	return (entries + 63) / 64;
}

int qcow2_refcount_init(struct qcow2 *q, struct hv_err *err)
{
	uint64_t bytes = (uint64_t)q->rt_clusters << q->cluster_bits;
	uint32_t i;
	int ret;

	q->rb_bits = q->cluster_bits + 3 - q->refcount_order;
	q->rt_entries = (uint32_t)(bytes / 8);
	q->rt_disk_offset = q->rt_offset;
	q->rt_disk_clusters = q->rt_clusters;
	q->rt = malloc(bytes);
	q->rb = calloc(q->rt_entries, sizeof(*q->rb));
	q->rt_dirty = calloc(1, rt_dirty_bytes(q->rt_entries));
	if (!q->rt || !q->rb || !q->rt_dirty)
		return hv_err_set(err, -ENOMEM, "%s: out of memory", q->img.file.path);
	ret = blk_file_pread(&q->img.file, q->rt, bytes, q->rt_offset);
	if (ret)
		return hv_err_set(err, ret, "%s: cannot read the refcount table: %s",
				  q->img.file.path, strerror(-ret));
	for (i = 0; i < q->rt_entries; i++) {
		uint64_t off = q->rt[i] = be64toh(q->rt[i]) & QCOW2_REFTABLE_MASK;

		if (off & (q->cluster_size - 1) || (off && off >= q->file_end))
			return hv_err_set(err, -EINVAL,
					  "%s: corrupt qcow2 image: refcount block %u is at %#llx, %s",
					  q->img.file.path, i, (unsigned long long)off,
					  off & (q->cluster_size - 1) ?
					  "not at a cluster" : "outside of the file");
	}
	return 0;
}

void qcow2_refcount_fini(struct qcow2 *q)
{
	uint32_t i;

	for (i = 0; q->rb && i < q->rt_entries; i++)
		free(q->rb[i].data);
	free(q->rb);
	free(q->rt);
	free(q->rt_dirty);
	q->rb = NULL;
	q->rt = NULL;
	q->rt_dirty = NULL;
	q->rt_entries = q->rb_loaded = q->rb_hand = 0;
	q->rb_any_dirty = q->rt_any_dirty = q->rt_moved = false;
}

uint64_t qcow2_refblock_read(const struct qcow2 *q, const void *data, uint64_t cluster)
{
	uint64_t i = cluster & ((1ull << q->rb_bits) - 1);
	unsigned int order = q->refcount_order, bits;

	switch (order) {
	case 3:
		return ((const uint8_t *)data)[i];
	case 4:
		return be16toh(((const uint16_t *)data)[i]);
	case 5:
		return be32toh(((const uint32_t *)data)[i]);
	case 6:
		return be64toh(((const uint64_t *)data)[i]);
	default:	/* less than a byte: the lowest bits come first */
		bits = 1u << order;
		return ((const uint8_t *)data)[i * bits / 8] >> (i * bits % 8) &
		       ((1u << bits) - 1);
	}
}

void qcow2_refblock_write(const struct qcow2 *q, void *data, uint64_t cluster, uint64_t count)
{
	uint64_t i = cluster & ((1ull << q->rb_bits) - 1);
	unsigned int order = q->refcount_order, bits, shift;
	uint8_t *byte;

	switch (order) {
	case 3:
		((uint8_t *)data)[i] = (uint8_t)count;
		break;
	case 4:
		((uint16_t *)data)[i] = htobe16((uint16_t)count);
		break;
	case 5:
		((uint32_t *)data)[i] = htobe32((uint32_t)count);
		break;
	case 6:
		((uint64_t *)data)[i] = htobe64(count);
		break;
	default:
		bits = 1u << order;
		shift = (unsigned int)(i * bits % 8);
		byte = (uint8_t *)data + i * bits / 8;
		*byte = (uint8_t)((*byte & ~(((1u << bits) - 1) << shift)) | count << shift);
		break;
	}
}

void qcow2_refblock_dirty(struct qcow2 *q, struct refcount_block *rb, uint64_t lo, uint64_t hi)
{
	lo &= ~(uint64_t)(WRITE_UNIT - 1);
	hi = (hi + WRITE_UNIT - 1) & ~(uint64_t)(WRITE_UNIT - 1);
	if (hi > q->cluster_size)
		hi = q->cluster_size;
	if (!rb->dirty || lo < rb->lo)
		rb->lo = (uint32_t)lo;
	if (!rb->dirty || hi > rb->hi)
		rb->hi = (uint32_t)hi;
	rb->dirty = true;
	q->rb_any_dirty = true;
	atomic_store(&q->meta_dirty, true);
}

/* Make room for one more block: drop clean ones when there are many. */
static void refblock_trim(struct qcow2 *q)
{
	uint32_t max = BLOCK_CACHE_BYTES >> q->cluster_bits, i;
	struct refcount_block *rb;

	if (max < BLOCK_CACHE_MIN)
		max = BLOCK_CACHE_MIN;
	for (i = 0; i < q->rt_entries && q->rb_loaded >= max; i++) {
		rb = &q->rb[q->rb_hand];
		q->rb_hand = (q->rb_hand + 1) % q->rt_entries;
		if (!rb->data || rb->dirty)
			continue;
		free(rb->data);
		rb->data = NULL;
		q->rb_loaded--;
	}
}

int qcow2_refblock_load(struct qcow2 *q, uint64_t cluster, struct refcount_block **res)
{
	uint64_t i = cluster >> q->rb_bits;
	void *data;
	int ret;

	*res = NULL;
	if (i >= q->rt_entries || !q->rt[i])
		return 0;
	if (!q->rb[i].data) {
		refblock_trim(q);
		data = malloc(q->cluster_size);
		if (!data)
			return -ENOMEM;
		ret = blk_file_pread(&q->img.file, data, q->cluster_size, q->rt[i]);
		if (ret) {
			free(data);
			return ret;
		}
		q->rb[i].data = data;
		q->rb_loaded++;
	}
	*res = &q->rb[i];
	return 0;
}

int qcow2_refcount_get(struct qcow2 *q, uint64_t cluster, uint64_t *count)
{
	struct refcount_block *rb;
	int ret = qcow2_refblock_load(q, cluster, &rb);

	if (!ret)
		*count = rb ? qcow2_refblock_read(q, rb->data, cluster) : 0;
	return ret;
}

int qcow2_refcount_set(struct qcow2 *q, uint64_t cluster, uint64_t count)
{
	uint64_t at = ((cluster & ((1ull << q->rb_bits) - 1)) << q->refcount_order) / 8;
	struct refcount_block *rb;
	int ret;

	if (q->refcount_order < 6 && count >> (1u << q->refcount_order))
		return -EOVERFLOW;
	ret = qcow2_refblock_load(q, cluster, &rb);
	if (ret)
		return ret;
	if (!rb)
		return -EIO;
	qcow2_refblock_write(q, rb->data, cluster, count);
	qcow2_refblock_dirty(q, rb, at, at + 1);
	return 0;
}

/* Forget blocks that the table on disk has no room for; they count nothing but themselves. */
static void table_shrink(struct qcow2 *q, uint32_t entries)
{
	uint32_t i;

	for (i = entries; i < q->rt_entries; i++) {
		if (q->rb[i].data)
			q->rb_loaded--;
		free(q->rb[i].data);
		q->rb[i] = (struct refcount_block){ 0 };
		q->rt[i] = 0;
	}
	q->rt_entries = entries;
	q->rb_hand = 0;
}

/* A longer refcount table with an entry for @need; it moves on disk with the next flush. */
static int table_grow(struct qcow2 *q, uint64_t need)
{
	uint64_t entries = q->rt_entries, clusters, first, old_offset = q->rt_offset;
	uint32_t old_entries = q->rt_entries, old_clusters = q->rt_clusters;
	struct refcount_block *rb;
	uint64_t *rt;
	uint8_t *dirty;
	int ret;

	/* With room for what counts the table itself. */
	entries = (need + 1 > entries ? need + 1 : entries) * 3 / 2 + 1;
	clusters = qcow2_clusters(q, entries * 8);
	entries = clusters << q->cluster_bits >> 3;
	if (entries * 8 > QCOW2_MAX_REFTABLE_BYTES)
		return -EFBIG;
	rt = realloc(q->rt, entries * sizeof(*rt));
	if (rt)
		q->rt = rt;
	rb = realloc(q->rb, entries * sizeof(*rb));
	if (rb)
		q->rb = rb;
	dirty = realloc(q->rt_dirty, rt_dirty_bytes((uint32_t)entries));
	if (dirty)
		q->rt_dirty = dirty;
	if (!rt || !rb || !dirty)
		return -ENOMEM;
	memset(rt + old_entries, 0, (entries - old_entries) * sizeof(*rt));
	memset(rb + old_entries, 0, (entries - old_entries) * sizeof(*rb));
	memset(dirty + rt_dirty_bytes(old_entries), 0,
	       rt_dirty_bytes((uint32_t)entries) - rt_dirty_bytes(old_entries));
	/*
	 * From here on clusters behind the old end can be counted: those of the table itself too.
	 */
	q->rt_entries = (uint32_t)entries;
	ret = qcow2_reserve_at_end(q, clusters, &first);
	if (!ret) {
		/* The space must be there: a flush is no time to run out of it. */
		ret = blk_file_zero(&q->img.file, first << q->cluster_bits,
				    clusters << q->cluster_bits);
		if (!ret)
			ret = qcow2_link(q, first, clusters);
		if (ret)
			qcow2_unreserve(q, first, clusters);
	}
	if (ret) {
		table_shrink(q, old_entries);
		return ret;
	}
	q->rt_offset = first << q->cluster_bits;
	q->rt_clusters = (uint32_t)clusters;
	q->rt_moved = true;
	return qcow2_unlink(q, old_offset >> q->cluster_bits, old_clusters);
}

/*
 * A block for the range of @cluster, whose clusters are all free so far: the block becomes the
 * user of @cluster and counts itself.
 */
static int block_make(struct qcow2 *q, uint64_t cluster)
{
	uint64_t i = cluster >> q->rb_bits, host = cluster << q->cluster_bits;
	void *data = calloc(1, q->cluster_size);
	int ret;

	if (!data)
		return -ENOMEM;
	qcow2_refblock_write(q, data, cluster, 1);
	ret = blk_file_pwrite(&q->img.file, data, q->cluster_size, host);
	if (ret) {
		free(data);
		return ret;
	}
	refblock_trim(q);
	q->rb[i].data = data;
	qcow2_refblock_dirty(q, &q->rb[i], 0, q->cluster_size);
	q->rb_loaded++;
	q->rt[i] = host;
	q->rt_dirty[i / 64] = 1;
	q->rt_any_dirty = true;
	qcow2_set_limit(q, host + q->cluster_size);
	if (q->zero_from < host + q->cluster_size)
		q->zero_from = host + q->cluster_size;
	atomic_store(&q->meta_dirty, true);
	return 0;
}

int qcow2_refblock_ensure(struct qcow2 *q, uint64_t cluster)
{
	uint64_t i = cluster >> q->rb_bits;
	int ret;

	if ((cluster + 1) << q->cluster_bits >= QCOW2_MAX_HOST_OFFSET)
		return -EFBIG;
	if (i >= q->rt_entries) {
		ret = table_grow(q, i);
		if (ret)
			return ret;
	}
	if (q->rt[i])
		return 0;
	if (qcow2_cluster_is_vital(q, cluster))
		return qcow2_mark_corrupt(q, "metadata is counted as free: cluster", cluster);
	return block_make(q, cluster);
}
