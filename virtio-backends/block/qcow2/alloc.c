// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Finding free clusters and giving back used ones.
 *
 * A cluster goes: free -> reserved (found, being filled with data) -> linked (refcount 1, a table
 * is about to point to it) -> unlinked (no table in memory points to it, but the one on disk may)
 * -> free again, after the change of the table is durable. Only "linked" is visible in refcounts:
 * a process that dies with reserved clusters leaves nothing behind.
 */
#include <errno.h>
#include <stdlib.h>

#include "qcow2.h"

#define UNLINKED_MAX	65536u		/* then it is time to flush */

static int run_add(struct cluster_run **list, uint64_t first, uint64_t count)
{
	struct cluster_run *r = *list;

	if (r && r->first + r->count == first) {
		r->count += count;
		return 0;
	}
	if (r && first + count == r->first) {
		r->first = first;
		r->count += count;
		return 0;
	}
	r = malloc(sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->first = first;
	r->count = count;
	r->next = *list;
	*list = r;
	return 0;
}

/* Take [first, first + count) out of @list; it lies in one of its runs. */
static void run_remove(struct cluster_run **list, uint64_t first, uint64_t count)
{
	struct cluster_run **p, *r, *tail;

	for (p = list; (r = *p); p = &r->next) {
		if (first < r->first || first >= r->first + r->count)
			continue;
		if (r->first + r->count > first + count && r->first < first) {
			/* From the middle. Without memory the tail stays taken for this session. */
			tail = malloc(sizeof(*tail));
			if (tail) {
				tail->first = first + count;
				tail->count = r->first + r->count - tail->first;
				tail->next = r->next;
				r->next = tail;
				r->count = first - r->first;
			}
		} else if (r->first == first) {
			r->first += count;
			r->count -= count;
		} else {
			r->count = first - r->first;
		}
		if (!r->count) {
			*p = r->next;
			free(r);
		}
		return;
	}
}

static void runs_free(struct cluster_run *r)
{
	struct cluster_run *next;

	for (; r; r = next) {
		next = r->next;
		free(r);
	}
}

void qcow2_alloc_fini(struct qcow2 *q)
{
	runs_free(q->reserved);
	runs_free(q->unlinked);
}

bool qcow2_runs_overlap(const struct cluster_run *r, uint64_t cluster, uint64_t *end)
{
	for (; r; r = r->next) {
		if (cluster >= r->first && cluster < r->first + r->count) {
			*end = r->first + r->count;
			return true;
		}
	}
	return false;
}

/* Refcounts that are wrong must not make us overwrite what the header points to. */
bool qcow2_cluster_is_vital(const struct qcow2 *q, uint64_t cluster)
{
	uint64_t off = cluster << q->cluster_bits, l1_end = q->l1_offset + q->l1_size * 8ull;

	return !cluster || (off < l1_end && off + q->cluster_size > q->l1_offset) ||
	       (off >= q->rt_offset && off < q->rt_offset + ((uint64_t)q->rt_clusters <<
							     q->cluster_bits)) ||
	       (off >= q->rt_disk_offset &&
		off < q->rt_disk_offset + ((uint64_t)q->rt_disk_clusters << q->cluster_bits));
}

/* Is @cluster free? Makes the refcount block that will be needed, which may take @cluster. */
static int cluster_free(struct qcow2 *q, uint64_t cluster, bool make, bool *free_now)
{
	struct refcount_block *rb;
	int ret;

	*free_now = false;
	if (make) {
		ret = qcow2_refblock_ensure(q, cluster);
		if (ret)
			return ret;
	}
	ret = qcow2_refblock_load(q, cluster, &rb);
	if (ret || !rb)
		return ret;
	if (qcow2_refblock_read(q, rb->data, cluster))
		return 0;
	if (qcow2_cluster_is_vital(q, cluster))
		return qcow2_mark_corrupt(q, "metadata is counted as free: cluster", cluster);
	*free_now = true;
	return 0;
}

/* A vital or reserved cluster is never the place of a new refcount block. */
static uint64_t skip_reserved(const struct qcow2 *q, uint64_t cluster)
{
	uint64_t end;

	while (qcow2_runs_overlap(q->reserved, cluster, &end))
		cluster = end;
	return cluster;
}

static int reserve_take(struct qcow2 *q, uint64_t first, uint64_t count)
{
	uint64_t end = (first + count) << q->cluster_bits;
	int ret = run_add(&q->reserved, first, count);

	if (ret)
		return ret;
	qcow2_set_limit(q, end);
	if (q->zero_from < end)
		q->zero_from = end;
	return 0;
}

int qcow2_reserve(struct qcow2 *q, uint64_t want, uint64_t *first, uint64_t *got)
{
	uint64_t c = q->free_hint, end;
	bool is_free = false;
	int ret;

	if (atomic_load(&q->broken))
		return -EIO;
	if (q->n_unlinked > UNLINKED_MAX) {
		ret = qcow2_flush_meta(q, false);
		if (ret)
			return ret;
		c = q->free_hint;
	}
	for (;; c++) {
		c = skip_reserved(q, c);
		ret = cluster_free(q, c, true, &is_free);
		if (ret)
			return ret;
		/* Making a refcount block may have made a table too, which may be here. */
		if (is_free && skip_reserved(q, c) == c)
			break;
	}
	*first = c;
	/* Below @c all is in use or reserved; what is given back lowers the hint again. */
	q->free_hint = c;
	for (*got = 1; *got < want; (*got)++) {
		ret = cluster_free(q, c + *got, false, &is_free);
		if (ret)
			return ret;
		if (!is_free || qcow2_runs_overlap(q->reserved, c + *got, &end))
			break;
	}
	ret = reserve_take(q, c, *got);
	if (!ret)
		q->free_hint = c + *got;
	return ret;
}

int qcow2_reserve_at_end(struct qcow2 *q, uint64_t count, uint64_t *first)
{
	uint64_t c = qcow2_clusters(q, q->file_end), n;
	bool is_free;
	int ret;

restart:
	for (n = 0; n < count; n++) {
		ret = cluster_free(q, c + n, true, &is_free);
		if (ret)
			return ret;
		if (!is_free) {		/* a refcount block went there */
			c += n + 1;
			goto restart;
		}
	}
	*first = c;
	return reserve_take(q, c, count);
}

void qcow2_unreserve(struct qcow2 *q, uint64_t first, uint64_t count)
{
	run_remove(&q->reserved, first, count);
	if (first < q->free_hint)
		q->free_hint = first;
}

int qcow2_link(struct qcow2 *q, uint64_t first, uint64_t count)
{
	uint64_t i;
	int ret;

	for (i = 0; i < count; i++) {
		ret = qcow2_refcount_set(q, first + i, 1);
		if (ret) {
			while (i--)
				qcow2_refcount_set(q, first + i, 0);
			return ret;
		}
	}
	run_remove(&q->reserved, first, count);
	return 0;
}

int qcow2_unlink(struct qcow2 *q, uint64_t first, uint64_t count)
{
	int ret = run_add(&q->unlinked, first, count);

	q->n_unlinked += count;
	atomic_store(&q->meta_dirty, true);
	return ret;
}

int qcow2_unlink_entry(struct qcow2 *q, uint64_t entry)
{
	uint64_t off, len, first, last;

	if (!(entry & QCOW2_COMPRESSED)) {
		off = entry & QCOW2_OFFSET_MASK;
		return off ? qcow2_unlink(q, off >> q->cluster_bits, 1) : 0;
	}
	qcow2_compressed_extent(q, entry, &off, &len);
	first = off >> q->cluster_bits;
	last = (off + len - 1) >> q->cluster_bits;
	return qcow2_unlink(q, first, last - first + 1);
}

/* One reference less to @cluster; *freed: that was the last. */
static int refcount_drop(struct qcow2 *q, uint64_t cluster, bool *freed)
{
	uint64_t count;
	int ret = qcow2_refcount_get(q, cluster, &count);

	*freed = false;
	if (ret)
		return ret;
	if (!count)
		return qcow2_mark_corrupt(q, "a cluster in use is counted as free: cluster",
					  cluster);
	*freed = count == 1;
	return qcow2_refcount_set(q, cluster, count - 1);
}

/* Give the disk space of free clusters back to the host. */
static void punch(struct qcow2 *q, uint64_t first, uint64_t count)
{
	uint64_t end;

	if (!count)
		return;
	if (first < q->free_hint)
		q->free_hint = first;
	end = (first + count) << q->cluster_bits;
	if (first << q->cluster_bits < q->zero_from)
		blk_file_punch(&q->img.file, first << q->cluster_bits,
			       (end < q->zero_from ? end : q->zero_from) -
			       (first << q->cluster_bits));
}

int qcow2_apply_unlinked(struct qcow2 *q)
{
	struct cluster_run *r;
	uint64_t i, start;
	int ret = 0, err;
	bool freed;

	while ((r = q->unlinked)) {
		q->unlinked = r->next;
		start = r->first;
		for (i = 0; i < r->count; i++) {
			err = refcount_drop(q, r->first + i, &freed);
			if (err)
				ret = err;
			if (!freed) {
				punch(q, start, r->first + i - start);
				start = r->first + i + 1;
			}
		}
		punch(q, start, r->first + r->count - start);
		free(r);
	}
	q->n_unlinked = 0;
	return ret;
}
