// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Changes of the whole image in one step: internal snapshots, a longer L1 table.
 *
 * The new state of all tables that change is written to clusters that are free in the old state:
 * L2 tables whose bit 63 changes, the L1 table, the snapshot table, all refcount blocks and the
 * refcount table. The header fields that lead to them lie in one sector, so that one write goes
 * from the old state to the new one:
 *
 *   all of the new tables
 *   barrier
 *   header, bytes 24 to 71
 *   barrier
 *   what only the old state used may be used again
 *
 * At every point the file is the old image or the new one, without errors and without leaks. If
 * something fails before the header is written, the old state goes on, in memory too.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "qcow2.h"

/* The header from size to snapshots_offset. */
struct header_switch {
	uint64_t size;
	uint32_t crypt_method;
	uint32_t l1_size;
	uint64_t l1_table_offset;
	uint64_t refcount_table_offset;
	uint32_t refcount_table_clusters;
	uint32_t nb_snapshots;
	uint64_t snapshots_offset;
} __attribute__((packed));

static_assert(sizeof(struct header_switch) == 48, "header");
static_assert(offsetof(struct qcow2_header, size) == 24, "header");
static_assert(offsetof(struct qcow2_header, snapshots_offset) + 8 == 24 + 48, "header");

static bool was_used(const struct qcow2_shadow *s, uint64_t cluster)
{
	return cluster < s->old_clusters && (s->old_used[cluster / 8] >> (cluster % 8) & 1);
}

static int load_refcounts(struct qcow2_shadow *s)
{
	struct qcow2_counts *c = &s->c;
	uint64_t i, count;
	int ret;

	s->old_clusters = c->clusters;
	s->old_used = calloc(1, c->clusters / 8 + 1);
	if (!s->old_used)
		return qcow2_count_fail(c, -ENOMEM, "counting");
	for (i = 0; i < c->clusters; i++) {
		ret = qcow2_refcount_get(c->q, i, &count);
		if (ret)
			return qcow2_count_fail(c, ret, "cannot read refcounts");
		if (count > UINT32_MAX)
			return qcow2_count_fail(c, -EOVERFLOW, "a refcount");
		c->n[i] = (uint32_t)count;
		if (count)
			s->old_used[i / 8] |= (uint8_t)(1 << i % 8);
	}
	return 0;
}

/* The tables that are always written anew. */
static int drop_old_tables(struct qcow2_shadow *s)
{
	struct qcow2 *q = s->c.q;
	uint32_t i;
	int ret;

	s->c.drop = true;
	ret = qcow2_count_range(&s->c, "the refcount table", q->rt_offset,
				(uint64_t)q->rt_clusters << q->cluster_bits);
	for (i = 0; i < q->rt_entries && !ret; i++)
		if (q->rt[i])
			ret = qcow2_count_range(&s->c, "a refcount block", q->rt[i],
						q->cluster_size);
	if (!ret)
		ret = qcow2_count_range(&s->c, "the snapshot table", q->snapshots_offset,
					s->old_snaps.bytes);
	s->c.drop = false;
	return ret;
}

int qcow2_shadow_begin(struct qcow2_shadow *s, struct qcow2 *q, const char *doing,
		       struct hv_err *err)
{
	int ret;

	*s = (struct qcow2_shadow){ .l1_size = q->l1_size, .size = q->img.size };
	s->c.q = q;
	s->c.err = err;
	s->c.doing = doing;
	ret = qcow2_flush_meta(q, true);
	if (ret)
		return qcow2_count_fail(&s->c, ret, "its tables cannot be written");
	ret = qcow2_count_init(&s->c, q, doing, err);
	if (!ret)
		ret = qcow2_snapshots_read(q, &s->old_snaps, err);
	if (!ret)
		ret = load_refcounts(s);
	if (!ret)
		ret = drop_old_tables(s);
	s->snaps = s->old_snaps.snap;
	s->nr_snaps = s->old_snaps.nr;
	if (ret)
		return ret;
	s->l1 = malloc(q->l1_size * 8ull + 8);
	if (!s->l1)
		return qcow2_count_fail(&s->c, -ENOMEM, "the L1 table");
	memcpy(s->l1, q->l1, q->l1_size * 8ull);
	return 0;
}

void qcow2_shadow_end(struct qcow2_shadow *s)
{
	free(s->c.n);
	free(s->old_used);
	free(s->l1);
	free(s->rt);
	free(s->l1_dirty);
	qcow2_snapshots_free(&s->old_snaps);
}

/* @count adjacent clusters that neither the old state nor the new one uses. */
static int shadow_alloc(struct qcow2_shadow *s, uint64_t count, uint64_t *off)
{
	struct qcow2_counts *c = &s->c;
	uint64_t first = count == 1 ? s->hint : 0, n = 0, cluster;
	int ret;

	for (; n < count; n++) {
		cluster = first + n;
		if (cluster == c->clusters) {
			ret = qcow2_count_append(c, &cluster);
			if (ret)
				return ret;
			c->n[cluster] = 0;
		}
		if (c->n[cluster] || was_used(s, cluster) ||
		    qcow2_runs_overlap(c->q->reserved, cluster, &cluster)) {
			first += n + 1;
			n = UINT64_MAX;
		}
	}
	for (n = 0; n < count; n++)
		c->n[first + n] = 1;
	if (count == 1)
		s->hint = first + 1;
	*off = first << c->q->cluster_bits;
	if ((first + count) << c->q->cluster_bits >= QCOW2_MAX_HOST_OFFSET)
		return qcow2_count_fail(c, -EFBIG, "the file");
	return 0;
}

static int shadow_write(struct qcow2_shadow *s, const void *data, uint64_t len, uint64_t off)
{
	int ret = blk_file_pwrite(&s->c.q->img.file, data, len, off);

	return ret ? qcow2_count_fail(&s->c, ret, "writing") : 0;
}

/* ---- L2 and L1 tables ---- */

/* The entry with bit 63 as the refcounts have it. */
static uint64_t fix_entry(const struct qcow2_shadow *s, uint64_t entry)
{
	uint64_t off = entry & QCOW2_OFFSET_MASK;

	entry &= ~QCOW2_COPIED;
	if (!(entry & QCOW2_COMPRESSED) && off && s->c.n[off >> s->c.q->cluster_bits] == 1)
		entry |= QCOW2_COPIED;
	return entry;
}

/* Bit 63 of all entries; a table that changes moves. */
static int fix_table(struct qcow2_shadow *s, uint64_t *l1_entry, uint64_t *buf)
{
	struct qcow2 *q = s->c.q;
	uint64_t off = *l1_entry & QCOW2_OFFSET_MASK, i, be;
	bool changed = false;
	int ret;

	ret = blk_file_pread(&q->img.file, buf, q->cluster_size, off);
	if (ret)
		return qcow2_count_fail(&s->c, ret, "cannot read an L2 table");
	for (i = 0; i < q->cluster_size / 8; i += q->entry_words) {
		be = htobe64(fix_entry(s, be64toh(buf[i])));
		changed |= be != buf[i];
		buf[i] = be;
	}
	if (changed) {
		s->c.n[off >> q->cluster_bits]--;
		ret = shadow_alloc(s, 1, &off);
		if (!ret)
			ret = shadow_write(s, buf, q->cluster_size, off);
	}
	*l1_entry = off;
	return ret;
}

static int write_l1(struct qcow2_shadow *s)
{
	struct qcow2 *q = s->c.q;
	uint64_t *buf = malloc(q->cluster_size), *be = malloc(s->l1_size * 8ull + 8);
	uint32_t i;
	int ret = buf && be ? 0 : qcow2_count_fail(&s->c, -ENOMEM, "copying tables");

	for (i = 0; i < s->l1_size && !ret; i++) {
		s->l1[i] &= QCOW2_OFFSET_MASK;
		if (s->l1[i])
			ret = fix_table(s, &s->l1[i], buf);
	}
	if (!ret && s->l1_size)
		ret = shadow_alloc(s, qcow2_clusters(q, s->l1_size * 8ull), &s->l1_offset);
	for (i = 0; i < s->l1_size && !ret; i++) {
		s->l1[i] = fix_entry(s, s->l1[i]);
		be[i] = htobe64(s->l1[i]);
	}
	if (!ret && s->l1_size)
		ret = shadow_write(s, be, s->l1_size * 8ull, s->l1_offset);
	free(buf);
	free(be);
	return ret;
}

static int write_snapshots(struct qcow2_shadow *s)
{
	uint8_t *data;
	uint64_t len;
	int ret;

	if (!s->nr_snaps)
		return 0;
	ret = qcow2_snapshots_pack(s->c.q, s->snaps, s->nr_snaps, &data, &len);
	if (ret)
		return qcow2_count_fail(&s->c, ret, "the snapshot table");
	ret = shadow_alloc(s, qcow2_clusters(s->c.q, len), &s->snapshots_offset);
	if (!ret)
		ret = shadow_write(s, data, len, s->snapshots_offset);
	free(data);
	return ret;
}

/* ---- Refcounts ---- */

static bool range_used(const struct qcow2_shadow *s, uint64_t block)
{
	const struct qcow2_counts *c = &s->c;
	uint64_t k = block << c->q->rb_bits, end = (block + 1) << c->q->rb_bits;

	for (; k < end && k < c->clusters; k++)
		if (c->n[k])
			return true;
	return false;
}

/* Find room for a table and blocks that count everything, themselves too. */
static int place_refcounts(struct qcow2_shadow *s)
{
	struct qcow2 *q = s->c.q;
	uint64_t need = (s->c.clusters >> q->rb_bits) + 1, i;
	bool more = true;
	int ret;

	s->rt_clusters = (uint32_t)qcow2_clusters(q, (need * 3 / 2 + 2) * 8);
	s->rt_entries = s->rt_clusters << q->cluster_bits >> 3;
	if (s->rt_entries * 8ull > QCOW2_MAX_REFTABLE_BYTES)
		return qcow2_count_fail(&s->c, -EFBIG, "its refcount table");
	s->rt = calloc(s->rt_entries, sizeof(*s->rt));
	if (!s->rt)
		return qcow2_count_fail(&s->c, -ENOMEM, "its refcount table");
	ret = shadow_alloc(s, s->rt_clusters, &s->rt_offset);
	/* A new block may lie where nothing was counted before. */
	while (more && !ret) {
		more = false;
		for (i = 0; i << q->rb_bits < s->c.clusters && !ret; i++) {
			if (i < s->rt_entries && (s->rt[i] || !range_used(s, i)))
				continue;
			if (i >= s->rt_entries)
				return qcow2_count_fail(&s->c, -EFBIG, "its refcount table");
			ret = shadow_alloc(s, 1, &s->rt[i]);
			more = true;
		}
	}
	return ret;
}

static int write_block(struct qcow2_shadow *s, uint32_t i, uint8_t *buf)
{
	struct qcow2 *q = s->c.q;
	uint64_t first = (uint64_t)i << q->rb_bits, k;
	uint64_t max = q->refcount_order < 5 ? (1ull << (1u << q->refcount_order)) - 1 : UINT32_MAX;

	memset(buf, 0, q->cluster_size);
	for (k = first; k < first + (1ull << q->rb_bits) && k < s->c.clusters; k++) {
		if (s->c.n[k] > max)
			return qcow2_count_fail(&s->c, -EOVERFLOW, "refcounts this narrow");
		qcow2_refblock_write(q, buf, k, s->c.n[k]);
	}
	return shadow_write(s, buf, q->cluster_size, s->rt[i]);
}

static int write_refcounts(struct qcow2_shadow *s)
{
	struct qcow2 *q = s->c.q;
	uint8_t *buf = malloc(q->cluster_size);
	uint64_t *be = malloc(s->rt_entries * 8ull);
	uint32_t i;
	int ret = buf && be ? 0 : qcow2_count_fail(&s->c, -ENOMEM, "its refcount table");

	for (i = 0; i < s->rt_entries && !ret; i++) {
		be[i] = htobe64(s->rt[i]);
		if (s->rt[i])
			ret = write_block(s, i, buf);
	}
	if (!ret)
		ret = shadow_write(s, be, s->rt_entries * 8ull, s->rt_offset);
	free(buf);
	free(be);
	return ret;
}

/* ---- From the old state to the new one ---- */

/* What was written behind the old end is no longer known to be zeroes. */
static void note_written(struct qcow2_shadow *s)
{
	struct qcow2 *q = s->c.q;
	uint64_t end = s->c.clusters << q->cluster_bits;

	if (s->c.clusters == s->old_clusters)
		return;
	if (q->zero_from < end)
		q->zero_from = end;
}

static int write_header(struct qcow2_shadow *s)
{
	struct qcow2 *q = s->c.q;
	struct header_switch h = {
		.size = htobe64(s->size),
		.l1_size = htobe32(s->l1_size),
		.l1_table_offset = htobe64(s->l1_offset),
		.refcount_table_offset = htobe64(s->rt_offset),
		.refcount_table_clusters = htobe32(s->rt_clusters),
		.nb_snapshots = htobe32(s->nr_snaps),
		.snapshots_offset = htobe64(s->snapshots_offset),
	};
	int ret = 0;

	if (!q->img.file.blockdev)
		ret = blk_file_truncate(&q->img.file, s->c.clusters << q->cluster_bits);
	if (!ret)
		ret = blk_file_sync(&q->img.file);
	if (ret)
		return qcow2_count_fail(&s->c, ret, "writing");
	ret = blk_file_pwrite(&q->img.file, &h, sizeof(h), offsetof(struct qcow2_header, size));
	if (!ret)
		ret = blk_file_sync(&q->img.file);
	if (!ret)
		return 0;
	/* Nobody knows which of the two states the file has. */
	atomic_store(&q->broken, true);
	return qcow2_count_fail(&s->c, ret, "writing its header; it can be used again when it was closed");
}

static int install(struct qcow2_shadow *s)
{
	struct qcow2 *q = s->c.q;
	int ret;

	s->l1_dirty = calloc(1, s->l1_size / 64 + 1);
	ret = s->l1_dirty ? 0 : -ENOMEM;

	pthread_mutex_lock(&q->map_lock);
	qcow2_l2_fini(q);
	q->img.size = s->size;
	if (!ret) {
		free(q->l1);
		free(q->l1_dirty);
		q->l1 = s->l1;
		q->l1_dirty = s->l1_dirty;
		q->l1_size = s->l1_size;
		q->l1_offset = s->l1_offset;
		s->l1 = NULL;
		s->l1_dirty = NULL;
		ret = qcow2_l2_init(q);
	}
	pthread_mutex_unlock(&q->map_lock);
	qcow2_refcount_fini(q);
	q->rt_offset = s->rt_offset;
	q->rt_clusters = s->rt_clusters;
	q->nb_snapshots = s->nr_snaps;
	q->snapshots_offset = s->snapshots_offset;
	qcow2_set_limit(q, s->c.clusters << q->cluster_bits);
	q->free_hint = 0;
	if (!ret)
		ret = qcow2_refcount_init(q, s->c.err);
	pthread_mutex_lock(&q->comp_lock);
	q->comp_entry = 0;
	pthread_mutex_unlock(&q->comp_lock);
	if (!ret)
		return 0;
	atomic_store(&q->broken, true);
	return qcow2_count_fail(&s->c, ret, "reading the new tables");
}

static void punch_freed(struct qcow2_shadow *s)
{
	struct qcow2 *q = s->c.q;
	uint64_t i, start = 0;

	for (i = 0; i <= s->old_clusters; i++) {
		if (i < s->old_clusters && was_used(s, i) && !s->c.n[i])
			continue;
		if (i > start)
			blk_file_punch(&q->img.file, start << q->cluster_bits,
				       (i - start) << q->cluster_bits);
		start = i + 1;
	}
}

int qcow2_shadow_commit(struct qcow2_shadow *s)
{
	int ret;

	ret = write_l1(s);
	if (!ret)
		ret = write_snapshots(s);
	if (!ret)
		ret = place_refcounts(s);
	if (!ret)
		ret = write_refcounts(s);
	note_written(s);
	if (!ret)
		ret = write_header(s);
	if (!ret)
		ret = install(s);
	if (!ret)
		punch_freed(s);
	return ret;
}
