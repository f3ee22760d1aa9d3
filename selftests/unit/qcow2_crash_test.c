// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What an image looks like when its user dies. All changes of the file are recorded in order while
 * random requests run; then the file is rebuilt as it was at many points:
 *
 *   kill        the process dies: everything written so far is there
 *   power loss  what was not synced is there, missing or torn between sectors, at random
 *
 * At each point qemu-img check must find no error (and no leak, for a kill outside of a flush), and
 * every sector must hold what the last completed flush saw, or something written since.
 *
 * Two kinds of runs: a few points, all checked by qemu-img; and many on small disks, internal
 * snapshots among the requests, checked by our own checker and one in a hundred by qemu-img too.
 * HV_CRASH_POINTS says how many ("make check-disk": 100000).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block_util.h"

#define DISK_SIZE	(4u << 20)	/* at most */
#define SMALL_DISK	(256u << 10)
#define MAX_SECTORS	(DISK_SIZE / 512)
#define MANY_DEFAULT	2000
#define QEMU_EVERY	100		/* of many points */
#define MAX_SNAPS	3
#define MAX_CONTENTS	64
#define OP_APPLY	((enum blk_op)100)	/* sector: index of snap_id */
#define MAX_EVENTS	60000
#define MAX_FILE	(48u << 20)

/* One change of the file. */
struct event {
	enum blk_file_op op;
	uint64_t off, len;
	uint8_t *data;
};

/* One write, discard or flush of the guest; positions count events. */
struct guest_op {
	enum blk_op op;
	uint64_t sector, count;
	size_t submitted, completed;
};

static struct event events[MAX_EVENTS];
static size_t n_events;
static pthread_mutex_t events_lock = PTHREAD_MUTEX_INITIALIZER;
static struct guest_op ops[4096];
static size_t n_ops;
static uint8_t *before;			/* the file when recording began */
static uint64_t before_size;
static uint64_t disk_size = DISK_SIZE, sectors = MAX_SECTORS;
static bool many;			/* the second kind of run */
static unsigned int image_number;	/* of the second kind */
static unsigned int points_done, points_by_qemu;
/* Contents of each snapshot that was ever made. */
static uint64_t snap_id[MAX_CONTENTS][SMALL_DISK / 512];
static unsigned int n_contents;
static uint64_t base_id[MAX_SECTORS];	/* sector contents when recording began */
static uint8_t file_buf[MAX_FILE];	/* the file being rebuilt */
static uint64_t file_len;

static int record(void *opaque, enum blk_file_op op, uint64_t off, const struct iovec *iov,
		  int iovcnt, uint64_t len)
{
	struct event *e;
	uint64_t pos = 0;
	int i;

	pthread_mutex_lock(&events_lock);
	CHECK(n_events < MAX_EVENTS);
	e = &events[n_events++];
	*e = (struct event){ .op = op, .off = off, .len = len };
	if (op == BLK_FILE_WRITE) {
		e->data = malloc(len + 1);
		CHECK(e->data);
		for (i = 0; i < iovcnt; i++) {
			memcpy(e->data + pos, iov[i].iov_base, iov[i].iov_len);
			pos += iov[i].iov_len;
		}
		CHECK(pos == len);
	}
	pthread_mutex_unlock(&events_lock);
	return 0;
}

static void record_reset(void)
{
	size_t i;

	for (i = 0; i < n_events; i++)
		free(events[i].data);
	free(before);
	n_events = 0;
	n_ops = 0;
}

/* ---- rebuilding the file ---- */

static void apply_bytes(const struct event *e, uint64_t skip, uint64_t len)
{
	uint64_t off = e->off + skip;

	CHECK(off + len <= MAX_FILE);
	if (e->op == BLK_FILE_WRITE) {
		memcpy(file_buf + off, e->data + skip, len);
		if (off + len > file_len)
			file_len = off + len;
	} else if (off < file_len) {
		memset(file_buf + off, 0, len < file_len - off ? len : file_len - off);
	}
}

static void apply(const struct event *e)
{
	switch (e->op) {
	case BLK_FILE_WRITE:
	case BLK_FILE_ZERO:
		apply_bytes(e, 0, e->len);
		break;
	case BLK_FILE_TRUNCATE:
		CHECK(e->len >= file_len && e->len <= MAX_FILE);
		file_len = e->len;
		break;
	default:
		break;
	}
}

/* Some of the sectors that it touches. */
static void apply_torn(const struct event *e, unsigned int luck, struct rnd *r)
{
	uint64_t pos, n;

	if (e->op == BLK_FILE_TRUNCATE || !rnd_below(r, 3)) {
		if (rnd_below(r, 8) < luck)
			apply(e);
		return;
	}
	for (pos = 0; pos < e->len; pos += n) {
		n = 512 - ((e->off + pos) & 511);
		if (n > e->len - pos)
			n = e->len - pos;
		if (rnd_below(r, 8) < luck)
			apply_bytes(e, pos, n);
	}
}

static void rebuild_start(void)
{
	memset(file_buf, 0, file_len);
	memcpy(file_buf, before, before_size);
	file_len = before_size;
}

/* As after a power loss when @n changes had been made. */
static void rebuild_power_loss(size_t n, struct rnd *r)
{
	/* Of eight pieces that are not durable, as many are there. */
	static const unsigned int lucks[] = { 4, 1, 7 };
	unsigned int luck = lucks[rnd_below(r, 3)];
	size_t i, durable = 0, begin = 0;

	for (i = 0; i < n; i++) {
		if (events[i].op == BLK_FILE_SYNC_BEGIN)
			begin = i;
		else if (events[i].op == BLK_FILE_SYNC)
			durable = begin;
	}
	rebuild_start();
	for (i = 0; i < n; i++) {
		if (i < durable)
			apply(&events[i]);
		else if (events[i].op != BLK_FILE_SYNC && events[i].op != BLK_FILE_SYNC_BEGIN)
			apply_torn(&events[i], luck, r);
	}
}

static void rebuild_write(void)
{
	FILE *f = fopen("crash", "w");

	CHECK(f && fwrite(file_buf, file_len, 1, f) == 1 && !fclose(f));
}

/* ---- checking a point ---- */

static bool is_flush(const struct guest_op *o)
{
	return o->op == BLK_FLUSH || o->op == OP_APPLY;
}

/* Is a flush under way when @n changes have been made? Closing is one. */
static bool in_flush(size_t n)
{
	size_t i;

	for (i = 0; i < n_ops; i++)
		if (is_flush(&ops[i]) && ops[i].submitted < n && n < ops[i].completed)
			return true;
	return false;
}

/* May sector @s hold @id? Contents name the operation that wrote them; 0 is zeroes. */
static bool content_ok(uint64_t s, uint64_t id, size_t n, size_t flush)
{
	uint64_t current = base_id[s];
	bool ok = false, gone = false;
	size_t i;

	for (i = 0; i < n_ops && ops[i].submitted < n; i++) {
		const struct guest_op *o = &ops[i];

		if (o->op == OP_APPLY) {
			current = snap_id[o->sector][s];
			gone = false;
			ok = id == current || (ok && i > flush);
			continue;
		}
		if (i == flush) {
			/* From here on, what it saw, or newer. */
			ok = id == current || (gone && !id);
			continue;
		}
		if (o->op == BLK_FLUSH || s < o->sector || s >= o->sector + o->count)
			continue;
		if (o->op == BLK_DISCARD) {
			gone = true;
			ok |= !id && i > flush;
		} else {
			gone = false;
			current = o->op == BLK_WRITE ? i + 1 : 0;
			ok |= id == current && i > flush;
		}
	}
	return ok;
}

/* As qemu-img reads it, or, faster, as we do. */
static void read_disk(uint8_t *raw, bool by_qemu)
{
	struct blk_image *img;

	if (by_qemu) {
		run("qemu-img convert -f qcow2 -O raw crash crash.raw");
		file_read_at("crash.raw", 0, raw, disk_size);
		return;
	}
	img = test_open("crash", BLK_FORMAT_QCOW2, true);
	CHECK(!blk_read_buf(img, 0, raw, disk_size));
	CHECK(!blk_close(img));
}

/* For whoever has to find out why a check fails. */
static void tell_history(uint64_t s, size_t n)
{
	printf("    image %u; sector %llu held %llx before\n", image_number, (unsigned long long)s,
	       (unsigned long long)base_id[s]);
	for (size_t i = 0; i < n_ops && ops[i].submitted < n; i++) {
		const struct guest_op *o = &ops[i];

		if (is_flush(o) || (s >= o->sector && s < o->sector + o->count))
			printf("    %zu: op %d, sectors %llu + %llu, from event %zu to %zu\n", i + 1,
			       (int)o->op, (unsigned long long)o->sector,
			       (unsigned long long)o->count, o->submitted, o->completed);
	}
}

static void check_content(size_t n, bool by_qemu)
{
	static uint8_t raw[DISK_SIZE];
	size_t i, flush = SIZE_MAX;
	uint64_t s, k, id;
	bool ok;

	for (i = 0; i < n_ops; i++)
		if (is_flush(&ops[i]) && ops[i].completed <= n)
			flush = i;
	read_disk(raw, by_qemu);
	for (s = 0; s < sectors; s++) {
		memcpy(&id, raw + s * 512, 8);
		/* Without a completed flush anything goes that was there or written. */
		ok = flush == SIZE_MAX ? id <= n_ops || id == base_id[s] :
					 content_ok(s, id, n, flush);
		if (!ok)
			tell_history(s, n);
		CHECK(ok,
		      "sector %llu holds %llx at event %zu", (unsigned long long)s,
		      (unsigned long long)id, n);
		if (flush == SIZE_MAX)
			continue;
		for (k = 8; k < 512; k += 8)
			CHECK(!memcmp(raw + s * 512 + k, &id, 8), "torn sector");
	}
}

/* The same as check_clean(), quicker. */
static void check_in_tree(bool leaks_ok, size_t n)
{
	struct blk_image *img = test_open("crash", BLK_FORMAT_QCOW2, true);
	struct blk_check_result res;
	struct hv_err err = { 0 };

	CHECK(!blk_check(img, &res, &err), "event %zu: %s", n, err.msg);
	CHECK(!res.errors && (leaks_ok || !res.leaks), "image %u, event %zu: %llu errors, %llu leaks",
	      image_number, n,
	      (unsigned long long)res.errors, (unsigned long long)res.leaks);
	CHECK(!blk_close(img));
}

static void check_point(size_t n, bool leaks_ok, bool lazy)
{
	bool by_qemu = !many || points_done % QEMU_EVERY == 0;

	rebuild_write();
	if (lazy) {
		/* Refcounts are stale by design; the next user rebuilds them. */
		CHECK(!blk_close(test_open("crash", BLK_FORMAT_QCOW2, false)));
	}
	if (by_qemu)
		check_clean("crash", leaks_ok);
	check_in_tree(leaks_ok, n);
	check_content(n, many ? by_qemu : points_done % 8 == 0);
	points_by_qemu += by_qemu;
	points_done++;
}

static unsigned int kill_points(unsigned int want, bool lazy, struct rnd *r)
{
	size_t i, step = n_events / want + 1;
	unsigned int checked = 0;

	rebuild_start();
	for (i = 0; i < n_events; i++) {
		apply(&events[i]);
		if (rnd_below(r, step))
			continue;
		check_point(i + 1, !lazy && in_flush(i + 1), lazy);
		checked++;
	}
	return checked;
}

/* At random points, and several times at each change of the header. */
static unsigned int power_losses(unsigned int want, bool lazy, struct rnd *r)
{
	unsigned int checked = 0, k;
	size_t i;

	for (i = 0; i < n_events; i++) {
		for (k = 0; k < 4 && events[i].op == BLK_FILE_WRITE && events[i].off < 512; k++) {
			rebuild_power_loss(i + 1, r);
			check_point(i + 1, true, lazy);
			checked++;
		}
	}
	for (; want; want--) {
		i = rnd_below(r, n_events) + 1;
		rebuild_power_loss(i, r);
		check_point(i, true, lazy);
		checked++;
	}
	return checked;
}

/* ---- the guest ---- */

static void guest_op(struct test_queue *tq, enum blk_op op, uint64_t sector, uint64_t count)
{
	static uint64_t buf[1u << 17];
	struct guest_op *o = &ops[n_ops++];
	uint64_t i;

	CHECK(n_ops < sizeof(ops) / sizeof(*ops) && count * 64 <= sizeof(buf) / 8);
	for (i = 0; i < count * 64; i++)
		buf[i] = n_ops;
	*o = (struct guest_op){ .op = op, .sector = sector, .count = count,
				.submitted = n_events, .completed = SIZE_MAX };
	CHECK(!tq_rw(tq, op, sector * 512, buf, count * 512,
		     op == BLK_WRITE_ZEROES && n_ops % 2 ? BLK_REQ_UNMAP : 0));
	o->completed = n_events;
}

/* Snapshots are durable when they are made, and so is all that was before. */
static void guest_snapshot(struct blk_image *img, bool *there, unsigned int *contents,
			   struct rnd *r)
{
	static uint8_t raw[SMALL_DISK];
	unsigned int k = (unsigned int)rnd_below(r, MAX_SNAPS);
	enum blk_snapshot_op op = BLK_SNAPSHOT_CREATE;
	struct guest_op *o = &ops[n_ops++];
	char name[2] = { (char)('a' + k) };
	struct hv_err err = { 0 };

	if (there[k])
		op = rnd_below(r, 2) ? BLK_SNAPSHOT_APPLY : BLK_SNAPSHOT_DELETE;
	*o = (struct guest_op){ .op = op == BLK_SNAPSHOT_APPLY ? OP_APPLY : BLK_FLUSH,
				.sector = contents[k], .submitted = n_events,
				.completed = SIZE_MAX };
	if (op == BLK_SNAPSHOT_CREATE) {
		contents[k] = n_contents++;
		CHECK(n_contents <= MAX_CONTENTS && !blk_read_buf(img, 0, raw, disk_size));
		for (uint64_t s = 0; s < sectors; s++)
			memcpy(&snap_id[contents[k]][s], raw + s * 512, 8);
	}
	CHECK(!blk_snapshot(img, op, name, &err), "%s", err.msg);
	if (op != BLK_SNAPSHOT_APPLY)
		there[k] = !there[k];
	o->completed = n_events;
}

static void guest_run(struct test_queue *tq, struct blk_image *img, unsigned int count,
		      struct rnd *r)
{
	bool there[MAX_SNAPS] = { false };
	unsigned int contents[MAX_SNAPS] = { 0 };

	n_contents = 0;
	while (count--) {
		uint64_t s = rnd_below(r, sectors),
			 n = rnd_below(r, rnd_below(r, 5) ? 40 : 600) + 1;

		if (!rnd_below(r, 4)) {
			s &= ~127ull;
			n = (n + 127) & ~127ull;
		}
		if (n > sectors - s)
			n = sectors - s;
		if (many && !rnd_below(r, 12)) {
			guest_snapshot(img, there, contents, r);
			continue;
		}
		switch (rnd_below(r, 12)) {
		case 0:
			guest_op(tq, BLK_DISCARD, s, n);
			break;
		case 1:
			guest_op(tq, BLK_WRITE_ZEROES, s, n);
			break;
		case 2:
			guest_op(tq, BLK_FLUSH, 0, 0);
			break;
		default:
			guest_op(tq, BLK_WRITE, s, n);
			break;
		}
	}
}

/* Image "t" is there. */
static void crash(unsigned int seed, unsigned int count, unsigned int points, bool lazy)
{
	static uint8_t raw[DISK_SIZE];
	struct rnd r = { .s = seed };
	struct test_queue tq;
	struct blk_image *img;
	unsigned int kills, losses;
	uint64_t s;
	size_t i;

	run("qemu-img convert -O raw t raw");
	file_read_at("raw", 0, raw, disk_size);
	for (s = 0; s < sectors; s++)
		memcpy(&base_id[s], raw + s * 512, 8);
	before_size = file_size("t");
	CHECK(before_size <= MAX_FILE);
	before = malloc(before_size);
	CHECK(before);
	file_read_at("t", 0, before, before_size);

	img = test_open("t", BLK_FORMAT_QCOW2, false);
	img->file.trace = record;
	tq_open(&tq, img);
	guest_run(&tq, img, count, &r);
	tq_close(&tq);
	ops[n_ops++] = (struct guest_op){ .op = BLK_FLUSH, .submitted = n_events,
					  .completed = SIZE_MAX };
	CHECK(!blk_close(img));
	ops[n_ops - 1].completed = n_events;
	check_clean("t", false);

	/* The records describe what happened. */
	rebuild_start();
	for (i = 0; i < n_events; i++)
		apply(&events[i]);
	rebuild_write();
	run("cmp crash t");

	kills = kill_points(points, lazy, &r);
	losses = power_losses(points, lazy, &r);
	if (!many)
		printf("    %zu changes, %u kills, %u power losses\n", n_events, kills, losses);
	record_reset();
}

/* Base image whose sectors name themselves, different from anything a guest writes here. */
static void make_base(void)
{
	static uint64_t buf[DISK_SIZE / 8];
	FILE *f = fopen("base", "w");
	uint64_t i;

	for (i = 0; i < DISK_SIZE / 8; i++)
		buf[i] = 1ull << 48 | i / 64;
	CHECK(f && fwrite(buf, sizeof(buf) / 2, 1, f) == 1 && !fclose(f));
}

static void test_plain(void)
{
	run("qemu-img create -f qcow2 t 4M");
	crash(1, 150, 40, false);
}

static void test_overlay(void)
{
	make_base();
	run("qemu-img create -f qcow2 -b base -F raw t 4M");
	crash(2, 150, 40, false);
	run("qemu-img create -f qcow2 -o cluster_size=4k -b base -F raw t 4M");
	crash(3, 150, 30, false);
}

static void test_small_clusters(void)
{
	run("qemu-img create -f qcow2 -o cluster_size=512,refcount_bits=64 t 4M");
	crash(4, 120, 40, false);
}

static void test_version2(void)
{
	make_base();
	run("qemu-img create -f qcow2 -o compat=0.10,cluster_size=4k -b base -F raw t 4M");
	crash(5, 120, 25, false);
}

static void test_lazy(void)
{
	run("qemu-img create -f qcow2 -o lazy_refcounts=on,cluster_size=4k t 4M");
	crash(6, 120, 30, true);
	run("qemu-img create -f qcow2 -o lazy_refcounts=on,cluster_size=512,refcount_bits=64 t 4M");
	crash(7, 120, 30, true);
}

static void test_snapshot(void)
{
	make_base();
	run("qemu-img convert -f raw -O qcow2 -c -o cluster_size=4k base t && qemu-img resize t 4M");
	run("qemu-img snapshot -c s t");
	crash(8, 120, 30, false);
}

static void test_many(void)
{
	static const struct {
		const char *options;
		bool lazy;
	} images[] = {
		{ "-o cluster_size=4k", false },
		{ "-o cluster_size=4k -b base -F raw", false },
		{ "-o cluster_size=512,refcount_bits=64", false },
		{ "-o compat=0.10,cluster_size=4k -b base -F raw", false },
		{ "-o cluster_size=4k,lazy_refcounts=on", true },
		{ "-o cluster_size=16k,refcount_bits=8 -b base -F raw", false },
		{ "-o cluster_size=64k", false },
	};
	const char *env = getenv("HV_CRASH_POINTS");
	unsigned int want = env ? (unsigned int)strtoul(env, NULL, 10) : MANY_DEFAULT;
	unsigned int share = want / 14 < 1500 ? want / 14 + 1 : 1500, seed = 100, n;

	many = true;
	disk_size = SMALL_DISK;
	sectors = SMALL_DISK / 512;
	points_done = points_by_qemu = 0;
	make_base();
	for (n = 0; points_done < want; n = (n + 1) % (sizeof(images) / sizeof(images[0]))) {
		run("qemu-img create -f qcow2 %s t %u", images[n].options, SMALL_DISK);
		image_number = seed - 100;
		crash(seed++, 50, share, images[n].lazy);
	}
	printf("    %u points of %u images, %u of them also checked by qemu-img\n", points_done,
	       seed - 100, points_by_qemu);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		{ "qcow2 crash: plain image", test_plain },
		{ "qcow2 crash: overlay", test_overlay },
		{ "qcow2 crash: refcount table moves", test_small_clusters },
		{ "qcow2 crash: version 2", test_version2 },
		{ "qcow2 crash: lazy refcounts", test_lazy },
		{ "qcow2 crash: compressed, with a snapshot", test_snapshot },
		{ "qcow2 crash: many points", test_many },
	};

	return test_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
