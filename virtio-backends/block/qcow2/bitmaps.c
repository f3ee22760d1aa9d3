// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Persistent dirty bitmaps. They are not kept up to date, so each is marked as in use when the
 * image is opened for writing. That is what the format says of a bitmap that may be inconsistent:
 * who relies on it sees that, and may remove it (qemu-img bitmap --remove).
 */
#include <errno.h>

#include "qcow2.h"

#define AUTOCLEAR_BITMAPS	(1ull << 0)
#define AUTOCLEAR_RAW_DATA	(1ull << 1)
#define BITMAP_IN_USE		(1u << 0)

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

/* Say of each that it was not kept up to date. */
static int mark_all(struct qcow2 *q)
{
	uint64_t pos = q->bitmaps.directory_offset;
	struct qcow2_bitmap_entry e;
	uint32_t i;
	int ret = 0;

	for (i = 0; i < q->bitmaps.nb_bitmaps && !ret; i++) {
		ret = blk_file_pread(&q->img.file, &e, sizeof(e), pos);
		if (!ret && !(be32toh(e.flags) & BITMAP_IN_USE)) {
			e.flags |= htobe32(BITMAP_IN_USE);
			ret = blk_file_pwrite(&q->img.file, &e.flags, sizeof(e.flags),
					      pos + offsetof(struct qcow2_bitmap_entry, flags));
		}
		pos += (sizeof(e) + be32toh(e.extra_data_size) + be16toh(e.name_size) + 7ull) &
		       ~7ull;
	}
	return ret;
}

int qcow2_bitmaps_mark(struct qcow2 *q)
{
	uint64_t keep = q->autoclear & AUTOCLEAR_RAW_DATA, be;
	int ret = 0;

	if (!(q->autoclear & ~AUTOCLEAR_RAW_DATA))
		return 0;
	/* A directory that cannot be trusted is left alone, and its bit goes: a leak. */
	if (q->autoclear & AUTOCLEAR_BITMAPS && !qcow2_bitmaps_walk(q, range_check, q)) {
		ret = mark_all(q);
		keep |= AUTOCLEAR_BITMAPS;
	}
	if (!ret && keep != q->autoclear) {
		be = htobe64(keep);
		ret = blk_file_pwrite(&q->img.file, &be, sizeof(be),
				      offsetof(struct qcow2_header, autoclear_features));
	}
	if (!ret)
		ret = blk_file_sync(&q->img.file);
	if (!ret)
		q->autoclear = keep;
	return ret;
}
