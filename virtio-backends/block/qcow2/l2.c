// SPDX-License-Identifier: GPL-2.0-or-later
/* The L1 table, which is all in memory, and the cache of L2 table slices. */
#include <errno.h>
#include <stdlib.h>

#include "qcow2.h"

#define SLICE_BYTES_MAX		4096u
#define SLICES_MIN		16u
#define TABLE_COPY_BYTES	65536u

uint32_t qcow2_cache_bytes = 32u << 20;

int qcow2_l2_init(struct qcow2 *q)
{
	uint64_t slice_bytes = q->cluster_size < SLICE_BYTES_MAX ? q->cluster_size :
								   SLICE_BYTES_MAX;
	uint64_t need, cap = qcow2_cache_bytes / slice_bytes, buckets = SLICES_MIN;

	q->entry_words = 1;
	q->l2_bits = q->cluster_bits - 3;
	q->slice_bits = (uint32_t)__builtin_ctzll(slice_bytes) - 3;
	/* As much as the image can ever use, up to the cap. */
	need = q->img.size / qcow2_slice_span(q) + 1;
	if (need < SLICES_MIN)
		need = SLICES_MIN;
	q->max_slices = (uint32_t)(need < cap ? need : cap);
	while (buckets < q->max_slices)
		buckets <<= 1;
	q->hash_mask = (uint32_t)buckets - 1;
	q->slices = calloc(q->max_slices, sizeof(*q->slices));
	q->hash = calloc(buckets, sizeof(*q->hash));
	return q->slices && q->hash ? 0 : -ENOMEM;
}

void qcow2_l2_fini(struct qcow2 *q)
{
	uint32_t i;

	for (i = 0; i < q->nslices; i++) {
		free(q->slices[i]->entries);
		free(q->slices[i]);
	}
	free(q->slices);
	free(q->hash);
	q->slices = NULL;
	q->hash = NULL;
	q->nslices = q->ndirty = q->hand = 0;
}

static struct l2_slice **slice_bucket(struct qcow2 *q, uint64_t index)
{
	uint64_t h = index * 0x9e3779b97f4a7c15ull;

	return &q->hash[(h >> 32) & q->hash_mask];
}

struct l2_slice *qcow2_l2_cached(struct qcow2 *q, uint64_t off)
{
	uint64_t index = off >> (q->slice_bits + q->cluster_bits);
	struct l2_slice *s;

	for (s = *slice_bucket(q, index); s; s = s->hash_next)
		if (s->index == index)
			return s;
	return NULL;
}

uint64_t qcow2_l1_entry(const struct qcow2 *q, uint64_t off)
{
	return q->l1[off >> (q->l2_bits + q->cluster_bits)];
}

static uint64_t slice_host(const struct qcow2 *q, uint64_t l1_entry, uint64_t index)
{
	uint64_t per_table = 1ull << (q->l2_bits - q->slice_bits);

	return (l1_entry & QCOW2_OFFSET_MASK) +
	       ((index & (per_table - 1)) << (q->slice_bits + 3));
}

uint64_t qcow2_l2_slice_offset(const struct qcow2 *q, const struct l2_slice *slice)
{
	return slice_host(q, qcow2_l1_entry(q, slice->index * qcow2_slice_span(q)),
			  slice->index);
}

static void slice_unhash(struct qcow2 *q, struct l2_slice *s)
{
	struct l2_slice **p;

	for (p = slice_bucket(q, s->index); *p != s; p = &(*p)->hash_next)
		;
	*p = s->hash_next;
	s->valid = false;
}

static void slice_hash(struct qcow2 *q, struct l2_slice *s, uint64_t index)
{
	struct l2_slice **bucket = slice_bucket(q, index);

	s->index = index;
	s->valid = true;
	s->used = true;
	s->hash_next = *bucket;
	*bucket = s;
}

static int slice_new(struct qcow2 *q, struct l2_slice **res)
{
	struct l2_slice *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->entries = malloc(8ull << q->slice_bits);
	if (!s->entries) {
		free(s);
		return -ENOMEM;
	}
	q->slices[q->nslices++] = s;
	*res = s;
	return 0;
}

/* A slice that is not in the hash table: a new one or the one not used for longest (clock). */
static int slice_get_free(struct qcow2 *q, struct l2_slice **res)
{
	struct l2_slice *s;
	uint32_t i;
	int ret;

	if (q->nslices < q->max_slices)
		return slice_new(q, res);
	/* Eviction of a dirty slice would need the barriers of a flush: do it for all at once. */
	if (q->ndirty > q->max_slices / 2) {
		ret = qcow2_flush_meta(q, false);
		if (ret)
			return ret;
	}
	pthread_mutex_lock(&q->map_lock);
	for (i = 0; i < 3 * q->nslices; i++) {
		s = q->slices[q->hand];
		q->hand = (q->hand + 1) % q->nslices;
		if (s->dirty)
			continue;
		if (s->valid && s->used) {
			s->used = false;
			continue;
		}
		if (s->valid)
			slice_unhash(q, s);
		pthread_mutex_unlock(&q->map_lock);
		*res = s;
		return 0;
	}
	pthread_mutex_unlock(&q->map_lock);
	return -ENOBUFS;	/* cannot be: half of them are clean */
}

/* May the L2 table of @l1_entry be where it says? */
static bool table_offset_ok(struct qcow2 *q, uint64_t l1_entry)
{
	uint64_t off = l1_entry & QCOW2_OFFSET_MASK;

	return off && !(off & (q->cluster_size - 1)) && off < atomic_load(&q->limit) &&
	       q->cluster_size <= atomic_load(&q->limit) - off;
}

int qcow2_l2_load(struct qcow2 *q, uint64_t off, struct l2_slice **slice)
{
	uint64_t l1_entry = qcow2_l1_entry(q, off);
	uint64_t index = off >> (q->slice_bits + q->cluster_bits);
	struct l2_slice *s;
	int ret;

	*slice = NULL;
	if (!(l1_entry & QCOW2_OFFSET_MASK))
		return 0;
	s = qcow2_l2_cached(q, off);
	if (s) {
		*slice = s;
		return 0;
	}
	if (!table_offset_ok(q, l1_entry))
		return qcow2_mark_corrupt(q, "an L2 table is outside of the file", l1_entry);
	ret = slice_get_free(q, &s);
	if (ret)
		return ret;
	ret = blk_file_pread(&q->img.file, s->entries, 8ull << q->slice_bits,
			     slice_host(q, l1_entry, index));
	if (ret)
		return ret;
	pthread_mutex_lock(&q->map_lock);
	slice_hash(q, s, index);
	pthread_mutex_unlock(&q->map_lock);
	*slice = s;
	return 0;
}

/* Fill a table that nothing refers to yet: with the old one as the cache knows it, or zeroes. */
static int table_fill(struct qcow2 *q, uint64_t off, uint64_t old, uint64_t host)
{
	uint64_t per_slice = 8ull << q->slice_bits;
	uint64_t first = off >> (q->l2_bits + q->cluster_bits) << (q->l2_bits - q->slice_bits);
	uint64_t slices = q->cluster_size / per_slice, chunk, i, n;
	struct l2_slice *s;
	uint8_t *buf;
	int ret = 0;

	chunk = slices < TABLE_COPY_BYTES / per_slice ? slices : TABLE_COPY_BYTES / per_slice;
	buf = calloc(chunk, per_slice);
	if (!buf)
		return -ENOMEM;
	for (i = 0; i < slices && !ret; i += chunk) {
		for (n = 0; old && n < chunk && !ret; n++) {
			s = qcow2_l2_cached(q, (first + i + n) * qcow2_slice_span(q));
			if (s)
				memcpy(buf + n * per_slice, s->entries, per_slice);
			else
				ret = blk_file_pread(&q->img.file, buf + n * per_slice, per_slice,
						     old + (i + n) * per_slice);
		}
		if (!ret)
			ret = blk_file_pwrite(&q->img.file, buf, chunk * per_slice,
					      host + i * per_slice);
	}
	free(buf);
	return ret;
}

static void l1_set(struct qcow2 *q, uint64_t off, uint64_t entry)
{
	uint64_t i = off >> (q->l2_bits + q->cluster_bits);

	pthread_mutex_lock(&q->map_lock);
	q->l1[i] = entry;
	pthread_mutex_unlock(&q->map_lock);
	q->l1_dirty[i / 64] = 1;
	q->l1_any_dirty = true;
	atomic_store(&q->meta_dirty, true);
}

/* A table of the active image's own for @off, in place of @old (0: none). */
static int table_make(struct qcow2 *q, uint64_t off, uint64_t old)
{
	uint64_t first, got;
	int ret;

	ret = qcow2_reserve(q, 1, &first, &got);
	if (ret)
		return ret;
	ret = table_fill(q, off, old, first << q->cluster_bits);
	if (!ret)
		ret = qcow2_link(q, first, 1);
	if (ret) {
		qcow2_unreserve(q, first, 1);
		return ret;
	}
	l1_set(q, off, first << q->cluster_bits | QCOW2_COPIED);
	return old ? qcow2_unlink(q, old >> q->cluster_bits, 1) : 0;
}

int qcow2_l2_load_for_write(struct qcow2 *q, uint64_t off, struct l2_slice **slice)
{
	uint64_t l1_entry = qcow2_l1_entry(q, off);
	int ret;

	if (!(l1_entry & QCOW2_OFFSET_MASK)) {
		ret = table_make(q, off, 0);
		if (ret)
			return ret;
	} else if (!(l1_entry & QCOW2_COPIED)) {
		if (!table_offset_ok(q, l1_entry))
			return qcow2_mark_corrupt(q, "an L2 table is outside of the file",
						  l1_entry);
		ret = table_make(q, off, l1_entry & QCOW2_OFFSET_MASK);
		if (ret)
			return ret;
	}
	return qcow2_l2_load(q, off, slice);
}

void qcow2_l2_set(struct qcow2 *q, struct l2_slice *slice, uint32_t idx, uint64_t entry)
{
	pthread_mutex_lock(&q->map_lock);
	slice->entries[idx] = htobe64(entry);
	slice->used = true;
	if (!slice->dirty) {
		slice->dirty = true;
		q->ndirty++;
	}
	pthread_mutex_unlock(&q->map_lock);
	atomic_store(&q->meta_dirty, true);
}

static bool overlaps(uint64_t off, uint64_t len, uint64_t start, uint64_t size)
{
	return off < start + size && start < off + len;
}

enum cluster_kind qcow2_classify(struct qcow2 *q, uint64_t entry)
{
	uint64_t off = entry & QCOW2_OFFSET_MASK;

	if (entry & QCOW2_COMPRESSED) {
		uint64_t len;

		qcow2_compressed_extent(q, entry, &off, &len);
		return off >= q->cluster_size && off < atomic_load(&q->limit) ?
		       CLUSTER_COMPRESSED : CLUSTER_BAD;
	}
	if (off) {
		if (off & (q->cluster_size - 1) || off >= atomic_load(&q->limit) ||
		    overlaps(off, q->cluster_size, q->l1_offset, q->l1_size * 8ull))
			return CLUSTER_BAD;
	}
	if (entry & QCOW2_ZERO)
		return q->version >= 3 ? CLUSTER_ZERO : CLUSTER_BAD;
	return off ? CLUSTER_NORMAL : CLUSTER_UNALLOCATED;
}
