// SPDX-License-Identifier: GPL-2.0-or-later
/* Is an image consistent? Counts all references and compares; changes nothing. */
#include <errno.h>
#include <stdlib.h>

#include "qcow2.h"

static int check_counts(struct qcow2_counts *c, struct blk_check_result *res)
{
	uint64_t i, on_disk, max = (uint64_t)c->q->rt_entries << c->q->rb_bits;
	int ret;

	if (max < c->clusters)
		max = c->clusters;
	for (i = 0; i < max; i++) {
		uint64_t n = i < c->clusters ? c->n[i] : 0;

		if (i >= c->clusters && !c->q->rt[i >> c->q->rb_bits]) {
			i |= (1ull << c->q->rb_bits) - 1;	/* a block that is not there */
			continue;
		}
		ret = qcow2_refcount_get(c->q, i, &on_disk);
		if (ret)
			return qcow2_count_fail(c, ret, "cannot read refcounts");
		res->errors += on_disk < n;
		res->leaks += on_disk > n;
	}
	return 0;
}

/* Bit 63 must say exactly whether a refcount is one, in what the active L1 table leads to. */
static bool copied_wrong(const struct qcow2_counts *c, uint64_t entry)
{
	uint64_t off = entry & QCOW2_OFFSET_MASK;

	if (entry & QCOW2_COMPRESSED)
		return entry & QCOW2_COPIED;
	if (!off)
		return false;
	return (c->n[off >> c->q->cluster_bits] == 1) != !!(entry & QCOW2_COPIED);
}

static int check_copied(struct qcow2_counts *c, struct blk_check_result *res)
{
	struct qcow2 *q = c->q;
	uint64_t *l2 = malloc(q->cluster_size), off;
	uint32_t i, k;
	int ret = l2 ? 0 : qcow2_count_fail(c, -ENOMEM, "reading tables");

	for (i = 0; i < q->l1_size && !ret; i++) {
		off = q->l1[i] & QCOW2_OFFSET_MASK;
		if (!off)
			continue;
		res->errors += copied_wrong(c, q->l1[i]);
		ret = blk_file_pread(&q->img.file, l2, q->cluster_size, off);
		if (ret)
			ret = qcow2_count_fail(c, ret, "cannot read an L2 table");
		for (k = 0; k < q->cluster_size / 8 && !ret; k += q->entry_words)
			res->errors += copied_wrong(c, be64toh(l2[k]));
	}
	free(l2);
	return ret;
}

int qcow2_check(struct blk_image *img, struct blk_check_result *res, struct hv_err *err)
{
	struct qcow2 *q = to_qcow2(img);
	struct qcow2_counts c;
	int ret;

	*res = (struct blk_check_result){ 0 };
	pthread_mutex_lock(&q->alloc_lock);
	ret = qcow2_count_init(&c, q, "cannot be checked", err);
	if (!ret)
		ret = qcow2_count_all(&c);
	if (!ret)
		ret = check_counts(&c, res);
	if (!ret)
		ret = check_copied(&c, res);
	pthread_mutex_unlock(&q->alloc_lock);
	free(c.n);
	return ret;
}
