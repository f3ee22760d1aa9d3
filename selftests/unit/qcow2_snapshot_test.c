// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Internal snapshots, growing, and bitmaps of qcow2 images: a model says what each state of
 * the disk holds; qemu-img makes, applies and deletes snapshots in turn with us, and checks every
 * result.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block_util.h"

#define DISK_SIZE	(1u << 20)
#define MAX_SNAPS	5

struct model {
	uint8_t disk[DISK_SIZE];
	struct {
		bool used;
		char name[16];
		uint8_t disk[DISK_SIZE];
	} snap[MAX_SNAPS];
};

static struct model model;
static uint8_t buf[DISK_SIZE];

static void snapshot(const char *image, enum blk_snapshot_op op, const char *name)
{
	struct blk_image *img = test_open(image, BLK_FORMAT_QCOW2, false);
	struct hv_err err = { 0 };

	CHECK(!blk_snapshot(img, op, name, &err), "%s", err.msg);
	CHECK(!blk_close(img));
}

static int snapshot_err(const char *image, enum blk_snapshot_op op, const char *name,
			struct hv_err *err)
{
	struct blk_image *img = test_open(image, BLK_FORMAT_QCOW2, false);
	int ret = blk_snapshot(img, op, name, err);

	CHECK(!blk_close(img));
	return ret;
}

static void compare(struct test_queue *tq, const uint8_t *want)
{
	CHECK(!tq_rw(tq, BLK_READ, 0, buf, DISK_SIZE, 0));
	CHECK(!memcmp(buf, want, DISK_SIZE));
}

static void scribble(struct test_queue *tq, unsigned int n, struct rnd *r)
{
	while (n--) {
		uint64_t len = (rnd_below(r, 100) + 1) * 512;
		uint64_t off = rnd_below(r, (DISK_SIZE - len) / 512) * 512;

		if (!rnd_below(r, 5)) {
			memset(model.disk + off, 0, len);
			CHECK(!tq_rw(tq, BLK_WRITE_ZEROES, off, NULL, len, BLK_REQ_UNMAP));
			continue;
		}
		rnd_fill(r, model.disk + off, len);
		CHECK(!tq_rw(tq, BLK_WRITE, off, model.disk + off, len, 0));
	}
}

static void do_op(struct blk_image *img, enum blk_snapshot_op op, const char *name)
{
	static const char letter[] = { 'c', 'a', 'd' };
	struct hv_err err = { 0 };

	if (img)
		CHECK(!blk_snapshot(img, op, name, &err), "%s", err.msg);
	else
		run("qemu-img snapshot -%c %s t", letter[op], name);
}

/* One change of the set of snapshots; @img: by us, NULL: by qemu-img. */
static void step(struct blk_image *img, unsigned int turn, struct rnd *r)
{
	unsigned int i = (unsigned int)rnd_below(r, MAX_SNAPS);

	if (!model.snap[i].used) {
		snprintf(model.snap[i].name, sizeof(model.snap[i].name), "s%u", turn);
		memcpy(model.snap[i].disk, model.disk, DISK_SIZE);
		do_op(img, BLK_SNAPSHOT_CREATE, model.snap[i].name);
		model.snap[i].used = true;
	} else if (rnd_below(r, 2)) {
		do_op(img, BLK_SNAPSHOT_APPLY, model.snap[i].name);
		memcpy(model.disk, model.snap[i].disk, DISK_SIZE);
	} else {
		do_op(img, BLK_SNAPSHOT_DELETE, model.snap[i].name);
		model.snap[i].used = false;
	}
}

static void check_in_tree(const char *image)
{
	struct blk_image *img = test_open(image, BLK_FORMAT_QCOW2, true);
	struct blk_check_result res;
	struct hv_err err = { 0 };

	CHECK(!blk_check(img, &res, &err), "%s", err.msg);
	CHECK(!res.errors && !res.leaks, "%llu errors, %llu leaks",
	      (unsigned long long)res.errors, (unsigned long long)res.leaks);
	CHECK(!blk_close(img));
}

static void check_snapshots(void)
{
	struct blk_image *img = test_open("t", BLK_FORMAT_QCOW2, true);
	struct blk_snapshot *list;
	unsigned int nr, want = 0, i, k;
	struct hv_err err = { 0 };

	CHECK(!blk_snapshot_list(img, &list, &nr, &err), "%s", err.msg);
	for (i = 0; i < MAX_SNAPS; i++) {
		if (!model.snap[i].used)
			continue;
		want++;
		for (k = 0; k < nr && strcmp(list[k].name, model.snap[i].name); k++)
			;
		CHECK(k < nr && list[k].disk_size == DISK_SIZE && !list[k].vm_state_size);
		run("qemu-img convert -l snapshot.name=%s -f qcow2 -O raw t s.raw",
		    model.snap[i].name);
		file_read_at("s.raw", 0, buf, DISK_SIZE);
		CHECK(!memcmp(buf, model.snap[i].disk, DISK_SIZE), "%s", model.snap[i].name);
		run("qemu-img snapshot -l t | grep -q ' %s '", model.snap[i].name);
	}
	CHECK(nr == want, "%u", nr);
	free(list);
	CHECK(!blk_close(img));
}

/* Image "t" is there and holds what model.disk says. */
static void random_snapshots(unsigned int turns, unsigned int seed)
{
	struct rnd r = { .s = seed };
	struct blk_image *img;
	struct test_queue tq;

	for (unsigned int i = 0; i < MAX_SNAPS; i++)
		model.snap[i].used = false;
	for (unsigned int turn = 0; turn < turns; turn++) {
		if (turn % 3 == 2) {
			step(NULL, turn, &r);
			check_in_tree("t");
		}
		img = test_open("t", BLK_FORMAT_QCOW2, false);
		tq_open(&tq, img);
		compare(&tq, model.disk);
		scribble(&tq, 8, &r);
		step(img, turn + 1000, &r);
		compare(&tq, model.disk);
		scribble(&tq, 3, &r);
		compare(&tq, model.disk);
		tq_close(&tq);
		CHECK(!blk_close(img));
		check_clean("t", false);
		check_in_tree("t");
		if (turn % 4 == 3)
			check_snapshots();
	}
	check_snapshots();
}

static void test_random(void)
{
	static const char *const options[] = {
		"cluster_size=64k", "cluster_size=4k", "cluster_size=512,refcount_bits=64",
		"cluster_size=4k,refcount_bits=8,lazy_refcounts=on", "compat=0.10,cluster_size=4k",
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		memset(model.disk, 0, DISK_SIZE);
		run("qemu-img create -f qcow2 -o %s t 1M", options[i]);
		random_snapshots(6, (unsigned int)i);
	}
}

static void test_compressed_overlay(void)
{
	struct rnd r = { .s = 99 };

	rnd_fill(&r, model.disk, DISK_SIZE / 2);
	memset(model.disk + DISK_SIZE / 4, 7, DISK_SIZE / 2);
	memset(model.disk + DISK_SIZE / 4 * 3, 0, DISK_SIZE / 4);
	run("truncate -s 1M raw");
	file_write_at("raw", 0, model.disk, DISK_SIZE);
	run("qemu-img convert -c -f raw -O qcow2 -o cluster_size=4k raw t");
	random_snapshots(6, 77);
	run("qemu-img create -f qcow2 -b raw -F raw -o cluster_size=4k t 1M");
	file_read_at("raw", 0, model.disk, DISK_SIZE);
	random_snapshots(6, 78);
}

/* The state of a VM behind the disk stays with its snapshot. */
static void test_vm_state(void)
{
	struct blk_image *img;
	struct blk_snapshot *list;
	struct hv_err err = { 0 };
	unsigned int nr;
	uint32_t be = htobe32(12345);
	uint64_t be64 = htobe64(12345), off;

	/* qemu-img cannot make one: write the size that savevm would. */
	run("qemu-img create -f qcow2 t 1M && qemu-img snapshot -c one t");
	file_read_at("t", 64, &off, 8);
	off = be64toh(off);
	file_write_at("t", off + 32, &be, 4);
	file_write_at("t", off + 40, &be64, 8);
	snapshot("t", BLK_SNAPSHOT_CREATE, "two");
	img = test_open("t", BLK_FORMAT_QCOW2, true);
	CHECK(!blk_snapshot_list(img, &list, &nr, &err));
	CHECK(nr == 2 && list[0].vm_state_size == 12345 && !list[1].vm_state_size);
	CHECK(!strcmp(list[0].id, "1") && !strcmp(list[1].id, "2"));
	CHECK(list[1].date_sec > 1600000000);
	free(list);
	CHECK(!blk_close(img));
	run("qemu-img snapshot -l t | grep -q '12.1 KiB'");
	check_clean("t", false);
}

static void test_snapshot_errors(void)
{
	char name[300];
	struct hv_err err = { 0 };
	struct blk_image *img;
	uint64_t hash;

	run("qemu-img create -f qcow2 t 1M && qemu-img snapshot -c s t");
	hash = file_hash("t");
	CHECK(snapshot_err("t", BLK_SNAPSHOT_CREATE, "s", &err) == -EEXIST);
	CHECK(strstr(err.msg, "has a snapshot \"s\" already"), "%s", err.msg);
	CHECK(snapshot_err("t", BLK_SNAPSHOT_APPLY, "x", &err) == -ENOENT);
	CHECK(strstr(err.msg, "has no snapshot \"x\""), "%s", err.msg);
	CHECK(snapshot_err("t", BLK_SNAPSHOT_DELETE, "", &err) == -ENOENT);
	CHECK(snapshot_err("t", BLK_SNAPSHOT_CREATE, "", &err) == -EINVAL);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	CHECK(snapshot_err("t", BLK_SNAPSHOT_CREATE, name, &err) == -EINVAL);
	CHECK(file_hash("t") == hash);
	img = test_open("t", BLK_FORMAT_QCOW2, true);
	CHECK(blk_snapshot(img, BLK_SNAPSHOT_CREATE, "r", &err) == -EROFS);
	CHECK(!blk_close(img));
	/* One bit counts to one: nothing can be shared. */
	run("qemu-img create -f qcow2 -o refcount_bits=1 t 1M && qemu-io -f qcow2 -c 'write 0 64k' t");
	CHECK(snapshot_err("t", BLK_SNAPSHOT_CREATE, "s", &err) == -EOVERFLOW);
	check_clean("t", false);
	run("truncate -s 2M r");
	img = test_open("r", BLK_FORMAT_RAW, false);
	CHECK(blk_snapshot(img, BLK_SNAPSHOT_CREATE, "s", &err) == -ENOTSUP);
	CHECK(strstr(err.msg, "raw image has no internal snapshots"), "%s", err.msg);
	CHECK(!blk_close(img));
	/* By ID. */
	run("qemu-img create -f qcow2 t 1M && qemu-img snapshot -c s t");
	CHECK(!snapshot_err("t", BLK_SNAPSHOT_DELETE, "1", &err), "%s", err.msg);
	check_clean("t", false);
}

/* A snapshot table that makes no sense is refused, and the image stays as it is. */
static void test_bad_table(void)
{
	uint32_t be = htobe32(1u << 30);
	struct hv_err err = { 0 };
	uint64_t off, hash;

	run("qemu-img create -f qcow2 t 1M && qemu-img snapshot -c s t");
	file_read_at("t", 64, &off, 8);
	off = be64toh(off);
	file_write_at("t", off + 36, &be, 4);	/* extra data */
	hash = file_hash("t");
	CHECK(snapshot_err("t", BLK_SNAPSHOT_CREATE, "n", &err) == -EINVAL);
	CHECK(strstr(err.msg, "table of snapshots"), "%s", err.msg);
	CHECK(file_hash("t") == hash);
	run("qemu-img create -f qcow2 t 1M && qemu-img snapshot -c s t");
	file_write_at("t", off + 8, &be, 4);	/* entries of its L1 table */
	CHECK(snapshot_err("t", BLK_SNAPSHOT_DELETE, "s", &err) == -EINVAL);
}

/* ---- Growing ---- */

static void resize(const char *image, enum blk_format format, uint64_t size)
{
	struct blk_image *img = test_open(image, format, false);
	struct hv_err err = { 0 };

	CHECK(!blk_resize(img, size, &err), "%s", err.msg);
	CHECK(blk_size(img) == size);
	CHECK(!blk_close(img));
}

static void test_resize(void)
{
	static const char *const options[] = {
		"cluster_size=64k", "cluster_size=512", "compat=0.10,cluster_size=4k",
	};
	struct hv_err err = { 0 };
	struct blk_image *img;
	struct test_queue tq;

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		run("qemu-img create -f qcow2 -o %s t 1000k && qemu-io -f qcow2 -c 'write -P 5 0 1000k' t",
		    options[i]);
		run("qemu-img snapshot -c s t");
		resize("t", BLK_FORMAT_QCOW2, 40u << 20);
		check_clean("t", false);
		run("qemu-io -f qcow2 -c 'read -P 5 0 1000k' -c 'read -P 0 1000k 39m' t");
		img = test_open("t", BLK_FORMAT_QCOW2, false);
		tq_open(&tq, img);
		memset(buf, 9, 4096);
		CHECK(!blk_resize(img, 50u << 20, &err), "%s", err.msg);
		CHECK(!tq_rw(&tq, BLK_WRITE, (50u << 20) - 4096, buf, 4096, 0));
		CHECK(blk_resize(img, 1u << 20, &err) == -EINVAL);
		CHECK(strstr(err.msg, "would lose data"), "%s", err.msg);
		CHECK(blk_resize(img, (50u << 20) + 1, &err) == -EINVAL);
		CHECK(blk_resize(img, 1ull << 62, &err) == -EFBIG);
		tq_close(&tq);
		CHECK(!blk_close(img));
		check_clean("t", false);
		run("qemu-io -f qcow2 -c 'read -P 9 %uk 4k' t", (50u << 10) - 4);
		/* The snapshot knows the size of then. */
		snapshot("t", BLK_SNAPSHOT_APPLY, "s");
		check_clean("t", false);
		run("qemu-img info t | grep -q '(1024000 bytes)'");
		run("qemu-io -f qcow2 -c 'read -P 5 0 1000k' t");
	}
	run("truncate -s 1M r");
	resize("r", BLK_FORMAT_RAW, 3u << 20);
	CHECK(file_size("r") == 3u << 20);
}

/* What a longer backing image holds behind our old end stays hidden. */
static void test_resize_backing(void)
{
	static const char *const options[] = { "cluster_size=64k", "compat=0.10,cluster_size=4k" };

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		run("truncate -s 4M b && qemu-io -f raw -c 'write -P 3 0 4M' b");
		run("qemu-img create -f qcow2 -b b -F raw -o %s t 1000k", options[i]);
		resize("t", BLK_FORMAT_QCOW2, 6u << 20);
		check_clean("t", false);
		run("qemu-io -f qcow2 -c 'read -P 3 0 1000k' -c 'read -P 0 1000k 5144k' t");
	}
}

/* ---- Bitmaps ---- */

static void test_bitmaps(void)
{
	struct blk_image *img;
	struct test_queue tq;

	run("qemu-img create -f qcow2 t 1M && qemu-img bitmap --add t b0 && qemu-img bitmap --add t b1");
	/* Looking changes nothing. */
	CHECK(!blk_close(test_open("t", BLK_FORMAT_QCOW2, true)));
	run("! qemu-img info t | grep -q in-use");
	img = test_open("t", BLK_FORMAT_QCOW2, false);
	tq_open(&tq, img);
	memset(buf, 1, 65536);
	CHECK(!tq_rw(&tq, BLK_WRITE, 65536, buf, 65536, 0));
	tq_close(&tq);
	CHECK(!blk_close(img));
	/* Still there, and said to be inconsistent. */
	run("test $(qemu-img info t | grep -c in-use) = 2 && qemu-img info t | grep -q 'name: b1'");
	check_clean("t", false);
	check_in_tree("t");
	snapshot("t", BLK_SNAPSHOT_CREATE, "s");
	check_clean("t", false);
	resize("t", BLK_FORMAT_QCOW2, 20u << 20);
	check_clean("t", false);
	run("qemu-img bitmap --remove t b0 && qemu-img bitmap --remove t b1");
	run("! qemu-img info t | grep -q bitmaps");
	check_clean("t", false);
}

/* The checker sees what qemu-img sees. */
static void test_check(void)
{
	struct blk_check_result res;
	struct blk_image *img;
	struct hv_err err = { 0 };
	uint16_t two = htobe16(2), none = 0;
	uint64_t rt, rb;

	run("qemu-img create -f qcow2 t 1M && qemu-io -f qcow2 -c 'write 0 256k' t");
	check_in_tree("t");
	file_read_at("t", 48, &rt, 8);
	file_read_at("t", be64toh(rt), &rb, 8);
	rb = be64toh(rb);
	file_write_at("t", rb + 2 * 6, &none, 2);
	file_write_at("t", rb + 2 * 100, &two, 2);
	CHECK(run_status("qemu-img check t") == 2);
	img = test_open("t", BLK_FORMAT_QCOW2, true);
	CHECK(!blk_check(img, &res, &err), "%s", err.msg);
	CHECK(res.errors == 1 && res.leaks == 1, "%llu %llu", (unsigned long long)res.errors,
	      (unsigned long long)res.leaks);
	CHECK(!blk_close(img));
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		{ "qcow2 snapshots: made, applied and deleted in turn with qemu-img", test_random },
		{ "qcow2 snapshots: compressed clusters, overlay", test_compressed_overlay },
		{ "qcow2 snapshots: size of a VM's state", test_vm_state },
		{ "qcow2 snapshots: errors", test_snapshot_errors },
		{ "qcow2 snapshots: a table that makes no sense", test_bad_table },
		{ "qcow2 grows", test_resize },
		{ "qcow2 grows over a longer backing image", test_resize_backing },
		{ "qcow2 bitmaps are marked as inconsistent", test_bitmaps },
		{ "qcow2 check", test_check },
	};

	return test_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
