// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Internal snapshots. Each is an L1 table, with all that it leads to, and an entry of the snapshot
 * table. They are made, applied and deleted in one step each; shadow.c has how.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "qcow2.h"

#define MAX_TABLE_BYTES	(64u << 20)
#define MAX_EXTRA	1024u

/* Extra data that version 3 wants. */
struct snapshot_extra {
	uint64_t vm_state_size;
	uint64_t disk_size;
};

/* ---- The table ---- */

void qcow2_snapshots_free(struct qcow2_snapshots *t)
{
	for (uint32_t i = 0; i < t->nr; i++) {
		free(t->snap[i].id);
		free(t->snap[i].name);
		free(t->snap[i].extra);
	}
	free(t->snap);
	*t = (struct qcow2_snapshots){ 0 };
}

/* A string of the file, with what would confuse a terminal replaced. */
static char *read_string(const uint8_t *p, size_t len)
{
	char *s = strndup((const char *)p, len);

	for (char *c = s; c && *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	return s;
}

static int read_one(struct qcow2 *q, uint64_t pos, struct qcow2_snapshot *s, uint64_t *len)
{
	struct qcow2_snapshot_entry e;
	struct snapshot_extra extra = { 0 };
	uint16_t id_len, name_len;
	uint8_t *rest;
	int ret;

	ret = blk_file_pread(&q->img.file, &e, sizeof(e), pos);
	if (ret)
		return ret;
	id_len = be16toh(e.id_size);
	name_len = be16toh(e.name_size);
	*s = (struct qcow2_snapshot){
		.l1_offset = be64toh(e.l1_table_offset), .l1_size = be32toh(e.l1_size),
		.date_sec = be32toh(e.date_sec), .date_nsec = be32toh(e.date_nsec),
		.vm_clock_nsec = be64toh(e.vm_clock_nsec),
		.vm_state_size = be32toh(e.vm_state_size), .disk_size = q->img.size,
		.extra_len = be32toh(e.extra_data_size),
	};
	if (s->extra_len > MAX_EXTRA || s->l1_size > QCOW2_MAX_L1_BYTES / 8 ||
	    s->l1_offset & (q->cluster_size - 1))
		return -EINVAL;
	rest = malloc((size_t)s->extra_len + id_len + name_len + 1);
	if (!rest)
		return -ENOMEM;
	ret = blk_file_pread(&q->img.file, rest, (size_t)s->extra_len + id_len + name_len,
			     pos + sizeof(e));
	memcpy(&extra, rest, s->extra_len < sizeof(extra) ? s->extra_len : sizeof(extra));
	if (s->extra_len >= 8)
		s->vm_state_size = be64toh(extra.vm_state_size);
	if (s->extra_len >= 16)
		s->disk_size = be64toh(extra.disk_size);
	s->id = read_string(rest + s->extra_len, id_len);
	s->name = read_string(rest + s->extra_len + id_len, name_len);
	s->extra = rest;
	*len = (sizeof(e) + s->extra_len + id_len + name_len + 7) & ~7ull;
	return ret ? ret : s->id && s->name ? 0 : -ENOMEM;
}

int qcow2_snapshots_read(struct qcow2 *q, struct qcow2_snapshots *t, struct hv_err *err)
{
	uint64_t pos = q->snapshots_offset, len = 0;
	int ret = 0;

	*t = (struct qcow2_snapshots){ 0 };
	t->snap = calloc(q->nb_snapshots + 1ull, sizeof(*t->snap));
	if (!t->snap)
		return hv_err_set(err, -ENOMEM, "%s: out of memory", q->img.file.path);
	while (t->nr < q->nb_snapshots && !ret) {
		ret = read_one(q, pos, &t->snap[t->nr++], &len);
		pos += len;
		if (!ret && pos - q->snapshots_offset > MAX_TABLE_BYTES)
			ret = -EINVAL;
	}
	t->bytes = pos - q->snapshots_offset;
	if (ret)
		return hv_err_set(err, ret, "%s: cannot read its table of snapshots: %s",
				  q->img.file.path, ret == -EINVAL ? "it makes no sense" :
				  strerror(-ret));
	return 0;
}

int qcow2_snapshots_pack(const struct qcow2 *q, const struct qcow2_snapshot *snap, uint32_t nr,
			 uint8_t **data, uint64_t *len)
{
	uint64_t pos = 0, room = 0;
	uint8_t *p;

	for (uint32_t i = 0; i < nr; i++)
		room += sizeof(struct qcow2_snapshot_entry) + snap[i].extra_len +
			sizeof(struct snapshot_extra) + strlen(snap[i].id) +
			strlen(snap[i].name) + 8;
	if (room > MAX_TABLE_BYTES)
		return -EFBIG;
	p = calloc(1, room);
	if (!p)
		return -ENOMEM;
	for (uint32_t i = 0; i < nr; i++) {
		const struct qcow2_snapshot *s = &snap[i];
		size_t id_len = strlen(s->id), name_len = strlen(s->name);
		struct snapshot_extra extra = { htobe64(s->vm_state_size), htobe64(s->disk_size) };
		uint32_t extra_len = s->extra_len < sizeof(extra) ? sizeof(extra) : s->extra_len;
		struct qcow2_snapshot_entry e = {
			.l1_table_offset = htobe64(s->l1_offset), .l1_size = htobe32(s->l1_size),
			.id_size = htobe16((uint16_t)id_len),
			.name_size = htobe16((uint16_t)name_len),
			.date_sec = htobe32(s->date_sec), .date_nsec = htobe32(s->date_nsec),
			.vm_clock_nsec = htobe64(s->vm_clock_nsec),
			.vm_state_size = htobe32(s->vm_state_size > UINT32_MAX ? 0 :
						 (uint32_t)s->vm_state_size),
			.extra_data_size = htobe32(extra_len),
		};

		memcpy(p + pos, &e, sizeof(e));
		pos += sizeof(e);
		if (s->extra_len)
			memcpy(p + pos, s->extra, s->extra_len);
		memcpy(p + pos, &extra, sizeof(extra));
		pos += extra_len;
		memcpy(p + pos, s->id, id_len);
		memcpy(p + pos + id_len, s->name, name_len);
		pos = (pos + id_len + name_len + 7) & ~7ull;
	}
	*data = p;
	*len = pos;
	return 0;
}

/* By name, else by ID, as qemu-img has it. */
static struct qcow2_snapshot *snapshot_find(struct qcow2_shadow *s, const char *name)
{
	for (uint32_t i = 0; i < s->nr_snaps; i++)
		if (!strcmp(s->snaps[i].name, name))
			return &s->snaps[i];
	for (uint32_t i = 0; i < s->nr_snaps; i++)
		if (!strcmp(s->snaps[i].id, name))
			return &s->snaps[i];
	hv_err_set(s->c.err, -ENOENT, "%s: has no snapshot \"%s\"", s->c.q->img.file.path, name);
	return NULL;
}

/* ---- The operations; all requests are held off ---- */

static int load_l1(struct qcow2_shadow *s, const struct qcow2_snapshot *snap, uint64_t **res)
{
	uint64_t *l1 = malloc(snap->l1_size * 8ull + 8);
	int ret;

	if (!l1)
		return qcow2_count_fail(&s->c, -ENOMEM, "the snapshot's L1 table");
	ret = blk_file_pread(&s->c.q->img.file, l1, snap->l1_size * 8ull, snap->l1_offset);
	if (ret) {
		free(l1);
		return qcow2_count_fail(&s->c, ret, "cannot read the snapshot's L1 table");
	}
	for (uint32_t i = 0; i < snap->l1_size; i++)
		l1[i] = be64toh(l1[i]) & QCOW2_OFFSET_MASK;
	*res = l1;
	return 0;
}

/* An L1 table, and all it leads to, is no longer part of the image. */
static int drop_tree(struct qcow2_shadow *s, const uint64_t *l1, uint32_t entries, uint64_t off)
{
	int ret;

	s->c.drop = true;
	ret = qcow2_count_l1(&s->c, l1, entries, false);
	if (!ret)
		ret = qcow2_count_range(&s->c, "an L1 table", off, entries * 8ull);
	s->c.drop = false;
	return ret;
}

static int add_snapshot(struct qcow2_shadow *s, const char *name)
{
	struct qcow2 *q = s->c.q;
	uint64_t id = 0, v;
	struct qcow2_snapshot *snap;
	struct timespec now;
	char text[24];

	if (s->nr_snaps >= QCOW2_MAX_SNAPSHOTS)
		return hv_err_set(s->c.err, -EFBIG, "%s: has %u snapshots already",
				  q->img.file.path, s->nr_snaps);
	for (uint32_t i = 0; i < s->nr_snaps; i++) {
		if (!strcmp(s->snaps[i].name, name))
			return hv_err_set(s->c.err, -EEXIST, "%s: has a snapshot \"%s\" already",
					  q->img.file.path, name);
		v = strtoull(s->snaps[i].id, NULL, 10);
		id = v > id && v < UINT32_MAX ? v : id;
	}
	snprintf(text, sizeof(text), "%llu", (unsigned long long)id + 1);
	clock_gettime(CLOCK_REALTIME, &now);
	/* The array has room for one more. */
	snap = &s->snaps[s->nr_snaps];
	*snap = (struct qcow2_snapshot){
		.l1_offset = q->l1_offset, .l1_size = q->l1_size,
		.date_sec = (uint32_t)now.tv_sec, .date_nsec = (uint32_t)now.tv_nsec,
		.disk_size = q->img.size, .id = strdup(text), .name = strdup(name),
	};
	s->old_snaps.nr = ++s->nr_snaps;
	return snap->id && snap->name ? 0 : qcow2_count_fail(&s->c, -ENOMEM, "the snapshot");
}

static int do_create(struct qcow2_shadow *s, const char *name)
{
	int ret = add_snapshot(s, name);

	/* The L1 table becomes the snapshot's. */
	return ret ? ret : qcow2_count_l1(&s->c, s->l1, s->l1_size, false);
}

static int do_apply(struct qcow2_shadow *s, const char *name)
{
	struct qcow2 *q = s->c.q;
	const struct qcow2_snapshot *snap = snapshot_find(s, name);
	unsigned int bits = q->l2_bits + q->cluster_bits;
	uint64_t *l1, *longer, need;
	int ret;

	if (!snap)
		return -ENOENT;
	need = (snap->disk_size >> bits) + !!(snap->disk_size & ((1ull << bits) - 1));
	if (need > QCOW2_MAX_L1_BYTES / 8)
		return qcow2_count_fail(&s->c, -EINVAL, "the snapshot's size makes no sense");
	ret = load_l1(s, snap, &l1);
	if (ret)
		return ret;
	/* First what comes: then nothing that stays is counted as free in between. */
	ret = qcow2_count_l1(&s->c, l1, snap->l1_size, false);
	if (!ret)
		ret = drop_tree(s, q->l1, q->l1_size, q->l1_offset);
	if (ret) {
		free(l1);
		return ret;
	}
	s->size = snap->disk_size;
	s->l1_size = snap->l1_size > need ? snap->l1_size : (uint32_t)need;
	longer = realloc(l1, s->l1_size * 8ull + 8);
	if (!longer) {
		free(l1);
		return qcow2_count_fail(&s->c, -ENOMEM, "the L1 table");
	}
	memset(longer + snap->l1_size, 0, (s->l1_size - snap->l1_size) * 8ull);
	free(s->l1);
	s->l1 = longer;
	return 0;
}

static int do_delete(struct qcow2_shadow *s, const char *name)
{
	struct qcow2 *q = s->c.q;
	struct qcow2_snapshot *snap = snapshot_find(s, name), gone;
	uint64_t *l1;
	int ret;

	if (!snap)
		return -ENOENT;
	ret = load_l1(s, snap, &l1);
	if (ret)
		return ret;
	ret = drop_tree(s, l1, snap->l1_size, snap->l1_offset);
	free(l1);
	s->c.drop = true;
	if (!ret)
		ret = qcow2_count_range(&s->c, "the L1 table", q->l1_offset, q->l1_size * 8ull);
	s->c.drop = false;
	if (ret)
		return ret;
	gone = *snap;
	memmove(snap, snap + 1,
		(size_t)(s->snaps + s->nr_snaps - snap - 1) * sizeof(*snap));
	s->snaps[--s->nr_snaps] = gone;		/* for old_snaps to free */
	return 0;
}

int qcow2_snapshot(struct blk_image *img, enum blk_snapshot_op op, const char *name,
		   struct hv_err *err)
{
	static int (*const fn[])(struct qcow2_shadow *s, const char *name) = {
		[BLK_SNAPSHOT_CREATE] = do_create,
		[BLK_SNAPSHOT_APPLY] = do_apply,
		[BLK_SNAPSHOT_DELETE] = do_delete,
	};
	static const char *const doing[] = {
		[BLK_SNAPSHOT_CREATE] = "cannot make a snapshot",
		[BLK_SNAPSHOT_APPLY] = "cannot go back to the snapshot",
		[BLK_SNAPSHOT_DELETE] = "cannot delete the snapshot",
	};
	struct qcow2 *q = to_qcow2(img);
	struct qcow2_shadow s;
	int ret;

	pthread_mutex_lock(&q->flush_lock);
	pthread_mutex_lock(&q->alloc_lock);
	ret = qcow2_shadow_begin(&s, q, doing[op], err);
	if (!ret)
		ret = fn[op](&s, name);
	if (!ret)
		ret = qcow2_shadow_commit(&s);
	qcow2_shadow_end(&s);
	pthread_mutex_unlock(&q->alloc_lock);
	pthread_mutex_unlock(&q->flush_lock);
	return ret;
}

int qcow2_snapshot_list(struct blk_image *img, struct blk_snapshot **list, unsigned int *nr,
			struct hv_err *err)
{
	struct qcow2 *q = to_qcow2(img);
	struct qcow2_snapshots t;
	int ret;

	*nr = 0;
	pthread_mutex_lock(&q->alloc_lock);
	ret = qcow2_snapshots_read(q, &t, err);
	pthread_mutex_unlock(&q->alloc_lock);
	*list = ret ? NULL : calloc(t.nr + 1ull, sizeof(**list));
	if (!ret && !*list)
		ret = hv_err_set(err, -ENOMEM, "%s: out of memory", img->file.path);
	for (uint32_t i = 0; i < t.nr && !ret; i++) {
		struct blk_snapshot *s = &(*list)[(*nr)++];

		snprintf(s->id, sizeof(s->id), "%s", t.snap[i].id);
		snprintf(s->name, sizeof(s->name), "%s", t.snap[i].name);
		s->vm_state_size = t.snap[i].vm_state_size;
		s->disk_size = t.snap[i].disk_size;
		s->vm_clock_nsec = t.snap[i].vm_clock_nsec;
		s->date_sec = t.snap[i].date_sec;
		s->date_nsec = t.snap[i].date_nsec;
	}
	qcow2_snapshots_free(&t);
	return ret;
}
