// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writing metadata back, in an order that survives the loss of everything behind the last barrier
 * (fdatasync of the image file), and of any part of what was written since.
 *
 * Data goes straight to its clusters; refcounts, L2 and L1 tables stay in memory. A flush writes
 *
 *   1. refcount blocks                 (and the dirty bit, for images with lazy refcounts)
 *      barrier                         only if new blocks or a new refcount table were made:
 *      refcount table                  an entry never points to a block that is not there
 *      barrier, header                 only if the table moved
 *      barrier                         data, refcounts and empty new L2 tables are durable
 *   2. L2 entries, then L1 entries     so they only ever point to counted and written clusters
 *      barrier                         the guest's flush is complete
 *   3. refcounts of what was unlinked  never before the table on disk has forgotten them, which
 *                                      is also when they may be used again
 *
 * What can be lost is the effect of step 3, or all but step 1: clusters that nobody uses but that
 * are counted, a leak. No order avoids that where a barrier separates refcounts from tables. To
 * make it unlikely when the process is killed, data is synced before step 1, which leaves little
 * to do for the barriers between the steps.
 *
 * With lazy refcounts, steps 1 and 3 leave the refcounts on disk alone; the dirty bit says so.
 */
#include <errno.h>
#include <stdlib.h>

#include "qcow2.h"

#define TABLE_SECTOR	512u
#define SECTOR_ENTRIES	(TABLE_SECTOR / 8)

int qcow2_write_incompat(struct qcow2 *q, uint64_t incompat)
{
	uint64_t be = htobe64(incompat);
	int ret;

	ret = blk_file_pwrite(&q->img.file, &be, sizeof(be),
			      offsetof(struct qcow2_header, incompatible_features));
	if (!ret)
		atomic_store(&q->incompat, incompat);
	return ret;
}

static int write_refcount_blocks(struct qcow2 *q)
{
	uint32_t i;
	int ret;

	for (i = 0; i < q->rt_entries && q->rb_any_dirty; i++) {
		const struct refcount_block *rb = &q->rb[i];

		if (!rb->dirty)
			continue;
		ret = blk_file_pwrite(&q->img.file, (const uint8_t *)rb->data + rb->lo,
				      rb->hi - rb->lo, q->rt[i] + rb->lo);
		if (ret)
			return ret;
	}
	return 0;
}

/* The 512 byte pieces of a table in memory that are marked in @dirty (NULL: all). */
static int write_table(struct qcow2 *q, const uint64_t *table, uint32_t entries,
		       const uint8_t *dirty, uint64_t off)
{
	uint64_t be[SECTOR_ENTRIES];
	uint32_t i, n, k;
	int ret;

	for (i = 0; i < entries; i += SECTOR_ENTRIES) {
		if (dirty && !dirty[i / SECTOR_ENTRIES])
			continue;
		n = entries - i < SECTOR_ENTRIES ? entries - i : SECTOR_ENTRIES;
		for (k = 0; k < n; k++)
			be[k] = htobe64(table[i + k]);
		ret = blk_file_pwrite(&q->img.file, be, n * 8ull, off + i * 8ull);
		if (ret)
			return ret;
	}
	return 0;
}

static int write_reftable(struct qcow2 *q)
{
	struct {
		uint64_t offset;
		uint32_t clusters;
	} __attribute__((packed)) field;
	int ret;

	if (!q->rt_any_dirty && !q->rt_moved)
		return 0;
	ret = blk_file_sync(&q->img.file);
	if (!ret)
		ret = write_table(q, q->rt, q->rt_entries, q->rt_moved ? NULL : q->rt_dirty,
				  q->rt_offset);
	if (ret || !q->rt_moved)
		return ret;
	ret = blk_file_sync(&q->img.file);
	if (ret)
		return ret;
	field.offset = htobe64(q->rt_offset);
	field.clusters = htobe32(q->rt_clusters);
	return blk_file_pwrite(&q->img.file, &field, sizeof(field),
			       offsetof(struct qcow2_header, refcount_table_offset));
}

static int write_mapping(struct qcow2 *q)
{
	struct l2_slice *s;
	uint32_t i;
	int ret;

	for (i = 0; i < q->nslices && q->ndirty; i++) {
		s = q->slices[i];
		if (!s->dirty)
			continue;
		ret = blk_file_pwrite(&q->img.file, s->entries, 8ull << q->slice_bits,
				      qcow2_l2_slice_offset(q, s));
		if (ret)
			return ret;
	}
	return q->l1_any_dirty ? write_table(q, q->l1, q->l1_size, q->l1_dirty, q->l1_offset) : 0;
}

static void refcounts_clean(struct qcow2 *q)
{
	uint32_t i;

	for (i = 0; i < q->rt_entries && q->rb_any_dirty; i++)
		q->rb[i].dirty = false;
	q->rb_any_dirty = false;
	if (q->rt_any_dirty)
		memset(q->rt_dirty, 0, (q->rt_entries + 63) / 64);
	q->rt_any_dirty = false;
	q->rt_moved = false;
	q->rt_disk_offset = q->rt_offset;
	q->rt_disk_clusters = q->rt_clusters;
}

static void mapping_clean(struct qcow2 *q)
{
	uint32_t i;

	pthread_mutex_lock(&q->map_lock);
	for (i = 0; i < q->nslices && q->ndirty; i++)
		q->slices[i]->dirty = false;
	q->ndirty = 0;
	pthread_mutex_unlock(&q->map_lock);
	if (q->l1_any_dirty)
		memset(q->l1_dirty, 0, (q->l1_size + 63) / 64);
	q->l1_any_dirty = false;
}

/* The last cluster may not have been written to its end. */
static int extend_file(struct qcow2 *q)
{
	int64_t size;

	if (q->img.file.blockdev)
		return 0;
	size = blk_file_size(&q->img.file);
	if (size < 0)
		return (int)size;
	return (uint64_t)size < q->file_end ? blk_file_truncate(&q->img.file, q->file_end) : 0;
}

/* Steps 1 and 2. */
static int write_all(struct qcow2 *q, bool refcounts)
{
	uint64_t incompat = atomic_load(&q->incompat);
	bool mapping = q->ndirty || q->l1_any_dirty;
	int ret;

	ret = extend_file(q);
	if (!ret && q->lazy && mapping && !(incompat & QCOW2_INCOMPAT_DIRTY))
		ret = qcow2_write_incompat(q, incompat | QCOW2_INCOMPAT_DIRTY);
	if (!ret && refcounts) {
		ret = write_refcount_blocks(q);
		if (!ret)
			ret = write_reftable(q);
	}
	if (!ret && mapping) {
		ret = blk_file_sync(&q->img.file);
		if (!ret)
			ret = write_mapping(q);
	}
	return ret ? ret : blk_file_sync(&q->img.file);
}

int qcow2_flush_meta(struct qcow2 *q, bool closing)
{
	/* A table that has moved must be in place before its old clusters can be used again. */
	bool refcounts = !q->lazy || closing || q->rt_moved;
	int ret;

	if (atomic_load(&q->broken))
		return -EIO;
	ret = write_all(q, refcounts);
	if (ret)
		return ret;	/* all is still marked dirty: the next flush tries again */
	if (refcounts)
		refcounts_clean(q);
	mapping_clean(q);
	if (q->unlinked) {
		ret = qcow2_apply_unlinked(q);
		if (!ret && refcounts) {
			/* Nobody needs to wait for these: losing them is a leak, no more. */
			ret = write_refcount_blocks(q);
			if (!ret)
				refcounts_clean(q);
		}
	}
	if (!ret && (refcounts || !q->rb_any_dirty))
		atomic_store(&q->meta_dirty, false);
	else if (!ret)
		atomic_store(&q->meta_dirty, q->unlinked != NULL);
	return ret;
}

bool qcow2_flush_simple(struct blk_image *img)
{
	return !atomic_load(&to_qcow2(img)->meta_dirty);
}

/*
 * Ahead of the ordered part, without locks: get the bulk of the work done. When refcounts are
 * about to change, in full: the less the barrier behind them has to do, the less likely a kill
 * comes in between and leaves a leak.
 */
static int flush_data(struct qcow2 *q)
{
	bool refcounts;

	pthread_mutex_lock(&q->alloc_lock);
	refcounts = q->rb_any_dirty && !q->lazy;
	pthread_mutex_unlock(&q->alloc_lock);
	return refcounts ? blk_file_sync(&q->img.file) : blk_file_writeback(&q->img.file);
}

int qcow2_flush(struct blk_image *img)
{
	struct qcow2 *q = to_qcow2(img);
	uint64_t seen = atomic_load(&q->flush_started);
	int ret;

	ret = flush_data(q);
	if (ret)
		return ret;
	pthread_mutex_lock(&q->flush_lock);
	/* One that began after we were called has done our work too. */
	if (atomic_load(&q->flush_started) > seen) {
		ret = q->flush_result;
	} else {
		atomic_fetch_add(&q->flush_started, 1);
		pthread_mutex_lock(&q->alloc_lock);
		ret = qcow2_flush_meta(q, false);
		pthread_mutex_unlock(&q->alloc_lock);
		q->flush_result = ret;
	}
	pthread_mutex_unlock(&q->flush_lock);
	return ret;
}
