// SPDX-License-Identifier: GPL-2.0-or-later
/* Counting what refers to each cluster: for repairing, checking and rebuilding refcounts. */
#include <errno.h>
#include <stdlib.h>

#include "qcow2.h"

#define MAX_CLUSTERS	(64u << 20)	/* 4 TiB of 64 KiB clusters: 256 MiB for counting */

int qcow2_count_init(struct qcow2_counts *c, struct qcow2 *q, const char *doing,
		     struct hv_err *err)
{
	*c = (struct qcow2_counts){ .q = q, .err = err, .doing = doing };
	c->clusters = (q->img.file.blockdev ? q->file_end : atomic_load(&q->limit)) >>
		      q->cluster_bits;
	c->room = c->clusters + 1024;
	if (c->clusters > MAX_CLUSTERS)
		return qcow2_count_fail(c, -EFBIG, "the image");
	c->n = calloc(c->room, sizeof(*c->n));
	return c->n ? 0 : qcow2_count_fail(c, -ENOMEM, "counting");
}

int qcow2_count_fail(struct qcow2_counts *c, int ret, const char *what)
{
	return hv_err_set(c->err, ret, "%s: %s: %s%s%s%s", c->q->img.file.path, c->doing, what,
			  ret == -EINVAL ? "" : ": ", ret == -EINVAL ? "" : strerror(-ret),
			  ret == -EINVAL ? "; see qemu-img check -r all" : "");
}

int qcow2_count_range(struct qcow2_counts *c, const char *what, uint64_t off, uint64_t len)
{
	uint64_t i, end;

	if (!len)
		return 0;
	end = off + len < off ? UINT64_MAX : qcow2_clusters(c->q, off + len);
	if (end > c->clusters)
		return qcow2_count_fail(c, -EINVAL, what);
	for (i = off >> c->q->cluster_bits; i < end; i++) {
		if (c->drop ? !c->n[i] : c->n[i] == UINT32_MAX)
			return qcow2_count_fail(c, -EINVAL, c->drop ? "a cluster in use is counted as free" :
					  "too many references");
		c->n[i] += c->drop ? -1u : 1;
	}
	return 0;
}

static int count_l2(struct qcow2_counts *c, uint64_t off, uint64_t *buf)
{
	struct qcow2 *q = c->q;
	uint64_t i, entry, host, len;
	int ret;

	ret = blk_file_pread(&q->img.file, buf, q->cluster_size, off);
	if (ret)
		return qcow2_count_fail(c, ret, "cannot read an L2 table");
	for (i = 0; i < q->cluster_size / 8 && !ret; i += q->entry_words) {
		entry = be64toh(buf[i]);
		if (entry & QCOW2_COMPRESSED) {
			qcow2_compressed_extent(q, entry, &host, &len);
			/* The last sector may be cut off. */
			if (host < c->clusters << q->cluster_bits &&
			    len > (c->clusters << q->cluster_bits) - host)
				len = (c->clusters << q->cluster_bits) - host;
			ret = qcow2_count_range(c, "a compressed cluster is outside of the file", host,
					  len);
		} else if (entry & QCOW2_OFFSET_MASK) {
			host = entry & QCOW2_OFFSET_MASK;
			if (host & (q->cluster_size - 1))
				return qcow2_count_fail(c, -EINVAL, "an L2 entry is not aligned");
			ret = qcow2_count_range(c, "a data cluster is outside of the file", host,
					  q->cluster_size);
		}
	}
	return ret;
}

/* @be: the table is in disk byte order. */
int qcow2_count_l1(struct qcow2_counts *c, const uint64_t *l1, uint32_t entries, bool be)
{
	uint64_t *buf = malloc(c->q->cluster_size), off;
	uint32_t i;
	int ret = 0;

	if (!buf)
		return qcow2_count_fail(c, -ENOMEM, "reading tables");
	for (i = 0; i < entries && !ret; i++) {
		off = (be ? be64toh(l1[i]) : l1[i]) & QCOW2_OFFSET_MASK;
		if (!off)
			continue;
		if (off & (c->q->cluster_size - 1)) {
			ret = qcow2_count_fail(c, -EINVAL, "an L1 entry is not aligned");
			break;
		}
		ret = qcow2_count_range(c, "an L2 table is outside of the file", off,
				  c->q->cluster_size);
		if (!ret)
			ret = count_l2(c, off, buf);
	}
	free(buf);
	return ret;
}

static int count_snapshot(struct qcow2_counts *c, const struct qcow2_snapshot_entry *e)
{
	uint64_t off = be64toh(e->l1_table_offset), *l1;
	uint32_t entries = be32toh(e->l1_size);
	int ret;

	if (entries > QCOW2_MAX_L1_BYTES / 8 || off & (c->q->cluster_size - 1))
		return qcow2_count_fail(c, -EINVAL, "an L1 table of a snapshot is invalid");
	ret = qcow2_count_range(c, "an L1 table of a snapshot is outside of the file", off,
			  entries * 8ull);
	if (ret || !entries)
		return ret;
	l1 = malloc(entries * 8ull);
	if (!l1)
		return qcow2_count_fail(c, -ENOMEM, "reading a snapshot");
	ret = blk_file_pread(&c->q->img.file, l1, entries * 8ull, off);
	if (ret)
		ret = qcow2_count_fail(c, ret, "cannot read a snapshot's L1 table");
	else
		ret = qcow2_count_l1(c, l1, entries, true);
	free(l1);
	return ret;
}

static int count_snapshots(struct qcow2_counts *c)
{
	uint64_t pos = c->q->snapshots_offset, len;
	struct qcow2_snapshot_entry e;
	uint32_t i;
	int ret = 0;

	for (i = 0; i < c->q->nb_snapshots && !ret; i++) {
		ret = blk_file_pread(&c->q->img.file, &e, sizeof(e), pos);
		if (ret)
			return qcow2_count_fail(c, ret, "cannot read the snapshot table");
		len = sizeof(e) + be32toh(e.extra_data_size) + be16toh(e.id_size) +
		      (uint64_t)be16toh(e.name_size);
		pos += (len + 7) & ~7ull;
		if (pos > c->clusters << c->q->cluster_bits)
			return qcow2_count_fail(c, -EINVAL, "the snapshot table is outside of the file");
		ret = count_snapshot(c, &e);
	}
	if (!ret)
		ret = qcow2_count_range(c, "the snapshot table is outside of the file",
				  c->q->snapshots_offset, pos - c->q->snapshots_offset);
	return ret;
}

static int count_bitmap_range(void *opaque, const char *what, uint64_t off, uint64_t len)
{
	return qcow2_count_range(opaque, what, off, len);
}

static int count_bitmaps(struct qcow2_counts *c)
{
	int ret = qcow2_bitmaps_walk(c->q, count_bitmap_range, c);

	return ret ? qcow2_count_fail(c, ret, "its bitmaps are not in order") : 0;
}

int qcow2_count_all(struct qcow2_counts *c)
{
	struct qcow2 *q = c->q;
	uint32_t i;
	int ret;

	ret = qcow2_count_range(c, "the header", 0, 1);
	if (!ret)
		ret = qcow2_count_range(c, "the L1 table", q->l1_offset, q->l1_size * 8ull);
	if (!ret)
		ret = qcow2_count_range(c, "the refcount table", q->rt_offset,
				  (uint64_t)q->rt_clusters << q->cluster_bits);
	for (i = 0; i < q->rt_entries && !ret; i++)
		if (q->rt[i])
			ret = qcow2_count_range(c, "a refcount block is outside of the file", q->rt[i],
					  q->cluster_size);
	if (!ret)
		ret = qcow2_count_l1(c, q->l1, q->l1_size, false);
	if (!ret)
		ret = count_snapshots(c);
	if (!ret)
		ret = count_bitmaps(c);
	return ret;
}

/* A cluster behind all others, used once. */
int qcow2_count_append(struct qcow2_counts *c, uint64_t *cluster)
{
	uint32_t *n;

	if (c->clusters == c->room) {
		n = realloc(c->n, (c->room + 1024) * sizeof(*n));
		if (!n)
			return qcow2_count_fail(c, -ENOMEM, "adding refcount blocks");
		c->n = n;
		c->room += 1024;
	}
	*cluster = c->clusters++;
	c->n[*cluster] = 1;
	return 0;
}
