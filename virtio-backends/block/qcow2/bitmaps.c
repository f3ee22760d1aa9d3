// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Persistent dirty bitmaps. They are not kept up to date, so an image that has them loses them when
 * it is opened for writing: first the autoclear bit that says they are valid goes, then their
 * clusters are given back.
 */
#include <errno.h>

#include "qcow2.h"

#define AUTOCLEAR_BITMAPS	(1ull << 0)

static int walk_one(struct qcow2 *q, const struct qcow2_bitmap_entry *e, qcow2_range_fn fn,
		    void *opaque)
{
	uint64_t off = be64toh(e->table_offset), entry;
	uint32_t entries = be32toh(e->table_size), i;
	int ret;

	ret = fn(opaque, "a bitmap table is outside of the file", off, entries * 8ull);
	for (i = 0; i < entries && !ret; i++) {
		ret = blk_file_pread(&q->img.file, &entry, sizeof(entry), off + i * 8ull);
		entry = be64toh(entry) & QCOW2_OFFSET_MASK;
		if (!ret && entry)
			ret = fn(opaque, "a bitmap is outside of the file", entry,
				 q->cluster_size);
	}
	return ret;
}

int qcow2_bitmaps_walk(struct qcow2 *q, qcow2_range_fn fn, void *opaque)
{
	const struct qcow2_bitmaps_ext *b = &q->bitmaps;
	uint64_t pos = b->directory_offset, end = pos + b->directory_size, len;
	struct qcow2_bitmap_entry e;
	uint32_t i;
	int ret;

	/* Without its bit the extension says nothing any more. */
	if (!b->nb_bitmaps || !(q->autoclear & AUTOCLEAR_BITMAPS))
		return 0;
	if (b->nb_bitmaps > QCOW2_MAX_BITMAPS)
		return -EINVAL;
	ret = fn(opaque, "the bitmap directory is outside of the file", pos, end - pos);
	for (i = 0; i < b->nb_bitmaps && !ret; i++) {
		if (end - pos < sizeof(e))
			return -EINVAL;
		ret = blk_file_pread(&q->img.file, &e, sizeof(e), pos);
		if (ret)
			return ret;
		len = sizeof(e) + be32toh(e.extra_data_size) + (uint64_t)be16toh(e.name_size);
		len = (len + 7) & ~7ull;
		if (len > end - pos)
			return -EINVAL;
		pos += len;
		ret = walk_one(q, &e, fn, opaque);
	}
	return ret;
}

static int range_check(void *opaque, const char *what, uint64_t off, uint64_t len)
{
	struct qcow2 *q = opaque;
	uint64_t c, end, count;
	int ret = 0;

	if (off < q->cluster_size || off + len < off || off + len > atomic_load(&q->limit))
		return -EINVAL;
	end = qcow2_clusters(q, off + len);
	for (c = off >> q->cluster_bits; c < end && !ret; c++) {
		ret = qcow2_refcount_get(q, c, &count);
		if (!ret && count != 1)
			ret = -EINVAL;
	}
	return ret;
}

static int range_free(void *opaque, const char *what, uint64_t off, uint64_t len)
{
	struct qcow2 *q = opaque;
	uint64_t first = off >> q->cluster_bits;

	return len ? qcow2_unlink(q, first, qcow2_clusters(q, off + len) - first) : 0;
}

int qcow2_bitmaps_drop(struct qcow2 *q)
{
	uint64_t zero = 0;
	bool sane;
	int ret;

	if (!q->autoclear)
		return 0;
	/* What cannot be trusted is left alone: a leak. */
	sane = !qcow2_bitmaps_walk(q, range_check, q);
	ret = blk_file_pwrite(&q->img.file, &zero, sizeof(zero),
			      offsetof(struct qcow2_header, autoclear_features));
	if (!ret)
		ret = blk_file_sync(&q->img.file);
	if (!ret && sane) {
		ret = qcow2_bitmaps_walk(q, range_free, q);
		if (!ret)
			ret = qcow2_flush_meta(q, false);
	}
	if (!ret)
		q->autoclear = 0;
	return ret;
}
