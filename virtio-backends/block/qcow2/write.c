// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writing where clusters have to be allocated: they were unallocated, zero, compressed or shared
 * with a snapshot. Runs on workers with the guest range held exclusively, so that what is read for
 * copy-on-write stays valid; tables are locked only to find and to link clusters, not while data
 * is moved.
 */
#include <errno.h>
#include <stdlib.h>

#include "qcow2.h"

/* One step: adjacent guest clusters that get adjacent host clusters. */
struct step {
	uint64_t off, len;	/* guest bytes to write */
	uint64_t host;		/* of the cluster that @off is in */
	uint64_t clusters;
	bool in_place;		/* mapped already, nothing to link */
	bool reserved;		/* host clusters are new (else those of zero clusters) */
	bool fresh;		/* host clusters are known to read as zeroes */
};

static uint64_t cluster_offset(const struct qcow2 *q, uint64_t off)
{
	return off & (q->cluster_size - 1);
}

/* A zero cluster with a host cluster of its own can get data there. */
static bool zero_reusable(enum cluster_kind kind, uint64_t entry)
{
	return kind == CLUSTER_ZERO && (entry & QCOW2_COPIED) && (entry & QCOW2_OFFSET_MASK);
}

static bool writable_in_place(enum cluster_kind kind, uint64_t entry)
{
	return kind == CLUSTER_NORMAL && (entry & QCOW2_COPIED);
}

/* Clusters from the first on whose present host clusters are adjacent and of that sort. */
static uint64_t count_adjacent(struct qcow2 *q, const struct l2_slice *s, uint32_t idx,
			       uint64_t max)
{
	uint64_t first = qcow2_l2_get(s, idx), n;

	for (n = 1; n < max; n++)
		if (qcow2_l2_get(s, idx + (uint32_t)n) != first + n * q->cluster_size ||
		    qcow2_classify(q, first + n * q->cluster_size) == CLUSTER_BAD)
			break;
	return n;
}

/* Clusters from the first on that need new host clusters; the first does. */
static uint64_t count_new(struct qcow2 *q, const struct l2_slice *s, uint32_t idx, uint64_t max)
{
	uint64_t n, entry;
	enum cluster_kind kind;

	for (n = 1; n < max; n++) {
		entry = qcow2_l2_get(s, idx + (uint32_t)n);
		kind = qcow2_classify(q, entry);
		if (kind == CLUSTER_BAD || writable_in_place(kind, entry) ||
		    zero_reusable(kind, entry))
			break;
	}
	return n;
}

/* Decide where the next bytes go. alloc_lock. */
static int step_plan(struct qcow2 *q, uint64_t off, uint64_t len, struct step *st)
{
	uint64_t in = cluster_offset(q, off), max, entry, first, zero_from;
	uint32_t idx = qcow2_l2_index(q, off);
	enum cluster_kind kind;
	struct l2_slice *s;
	int ret;

	ret = qcow2_l2_load_for_write(q, off, &s);
	if (ret)
		return ret;
	max = qcow2_clusters(q, in + len);
	if (max > (1ull << q->slice_bits) - idx)
		max = (1ull << q->slice_bits) - idx;
	entry = qcow2_l2_get(s, idx);
	kind = qcow2_classify(q, entry);
	if (kind == CLUSTER_BAD)
		return qcow2_mark_corrupt(q, "a table entry is invalid:", entry);

	*st = (struct step){ .off = off, .host = entry & QCOW2_OFFSET_MASK };
	if (writable_in_place(kind, entry)) {
		st->in_place = true;
		st->clusters = count_adjacent(q, s, idx, max);
	} else if (zero_reusable(kind, entry)) {
		st->clusters = count_adjacent(q, s, idx, max);
	} else {
		max = count_new(q, s, idx, max);
		zero_from = q->zero_from;
		ret = qcow2_reserve(q, max, &first, &st->clusters);
		if (ret)
			return ret;
		st->reserved = true;
		st->host = first << q->cluster_bits;
		st->fresh = st->host >= zero_from;
	}
	st->len = (st->clusters << q->cluster_bits) - in;
	if (st->len > len)
		st->len = len;
	return 0;
}

/* Old contents of [off, off + len), which may reach behind the end of the image. */
static int read_old(struct qcow2 *q, uint64_t off, uint8_t *buf, uint64_t len, bool *all_zero)
{
	uint64_t inside = off >= q->img.size ? 0 : q->img.size - off;
	struct blk_extent ext;
	uint64_t pos = 0;
	int ret;

	*all_zero = true;
	if (inside > len)
		inside = len;
	while (pos < inside) {
		ret = qcow2_map(&q->img, off + pos, inside - pos, true, &ext);
		if (ret)
			return ret;
		if (ext.kind != BLK_EXT_ZERO)
			*all_zero = false;
		pos += ext.len;
	}
	memset(buf + inside, 0, len - inside);
	return *all_zero ? (memset(buf, 0, inside), 0) :
			   blk_read_buf(&q->img, off, buf, inside);
}

/* Write new data and, around it, what the first and last cluster held before. */
static int step_write_cow(struct qcow2 *q, const struct step *st, const struct iovec *iov,
			  int iovcnt, uint64_t pos)
{
	uint64_t head = cluster_offset(q, st->off);
	uint64_t tail = (st->clusters << q->cluster_bits) - head - st->len;
	struct iovec *vec = malloc(((size_t)iovcnt + 3) * sizeof(*vec));
	uint8_t *buf = head + tail ? malloc(head + tail) : NULL;
	uint64_t host = st->host;
	bool zero = true;
	int n = 0, ret = 0;

	if (!vec || (head + tail && !buf)) {
		ret = -ENOMEM;
		goto out;
	}
	if (head) {
		ret = read_old(q, st->off - head, buf, head, &zero);
		if (ret)
			goto out;
		if (zero && st->fresh)
			host += head;
		else
			vec[n++] = (struct iovec){ .iov_base = buf, .iov_len = head };
	}
	n += blk_iov_slice(vec + n, iov, iovcnt, pos, st->len);
	if (tail) {
		ret = read_old(q, st->off + st->len, buf + head, tail, &zero);
		if (ret)
			goto out;
		if (!zero || !st->fresh)
			vec[n++] = (struct iovec){ .iov_base = buf + head, .iov_len = tail };
	}
	ret = blk_file_pwritev(&q->img.file, vec, n, host);
out:
	free(buf);
	free(vec);
	return ret;
}

static int step_write_in_place(struct qcow2 *q, const struct step *st, const struct iovec *iov,
			       int iovcnt, uint64_t pos)
{
	struct iovec *vec = malloc(((size_t)iovcnt + 1) * sizeof(*vec));
	int ret;

	if (!vec)
		return -ENOMEM;
	ret = blk_file_pwritev(&q->img.file, vec, blk_iov_slice(vec, iov, iovcnt, pos, st->len),
			       st->host + cluster_offset(q, st->off));
	free(vec);
	return ret;
}

/* Let the L2 entries point to the new clusters. alloc_lock. */
static int step_link(struct qcow2 *q, const struct step *st)
{
	uint32_t idx = qcow2_l2_index(q, st->off);
	struct l2_slice *s;
	uint64_t i, old;
	int ret;

	ret = qcow2_l2_load_for_write(q, st->off, &s);
	if (ret)
		return ret;
	if (st->reserved) {
		ret = qcow2_link(q, st->host >> q->cluster_bits, st->clusters);
		if (ret)
			return ret;
	}
	for (i = 0; i < st->clusters; i++) {
		old = qcow2_l2_get(s, idx + (uint32_t)i);
		qcow2_l2_set(q, s, idx + (uint32_t)i,
			     (st->host + (i << q->cluster_bits)) | QCOW2_COPIED);
		if (st->reserved) {
			int err = qcow2_unlink_entry(q, old);

			if (err)
				ret = err;
		}
	}
	return ret;
}

static int step_run(struct qcow2 *q, const struct step *st, const struct iovec *iov, int iovcnt,
		    uint64_t pos)
{
	int ret;

	if (st->in_place)
		return step_write_in_place(q, st, iov, iovcnt, pos);
	ret = step_write_cow(q, st, iov, iovcnt, pos);
	pthread_mutex_lock(&q->alloc_lock);
	if (!ret)
		ret = step_link(q, st);
	if (ret && st->reserved)
		qcow2_unreserve(q, st->host >> q->cluster_bits, st->clusters);
	pthread_mutex_unlock(&q->alloc_lock);
	return ret;
}

int qcow2_write(struct blk_image *img, uint64_t off, const struct iovec *iov, int iovcnt,
		uint64_t len)
{
	struct qcow2 *q = to_qcow2(img);
	struct step st;
	uint64_t pos;
	int ret;

	for (pos = 0; pos < len; pos += st.len) {
		if (atomic_load(&q->broken))
			return -EIO;
		pthread_mutex_lock(&q->alloc_lock);
		ret = step_plan(q, off + pos, len - pos, &st);
		pthread_mutex_unlock(&q->alloc_lock);
		if (!ret)
			ret = step_run(q, &st, iov, iovcnt, pos);
		if (ret)
			return ret;
	}
	return 0;
}
