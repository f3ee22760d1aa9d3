// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Random requests on qcow2 images of every kind that qemu-img can make, against a model in memory.
 * qemu-img is the oracle: it makes the images, checks them afterwards and reads them back.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block_util.h"
#include "../../virtio-backends/block/qcow2/qcow2.h"

#define MAX_IO	(640u << 10)

struct model {
	uint8_t *data;
	uint8_t *unknown;	/* per 512 bytes: discarded, any content but the backing image's */
	const uint8_t *below;	/* what the backing image reads as; NULL: nothing */
	uint64_t below_size;
	uint64_t size;
};

static uint8_t io_buf[MAX_IO];

/* Fresh contents of @path, as qemu-img reads it. */
static void model_from_image(struct model *m, const char *path)
{
	run("qemu-img convert -O raw %s model.raw", path);
	m->size = file_size("model.raw");
	m->data = malloc(m->size);
	m->unknown = calloc(1, m->size / 512 + 1);
	CHECK(m->data && m->unknown);
	file_read_at("model.raw", 0, m->data, m->size);
	m->below = NULL;
	m->below_size = 0;
}

static void model_free(struct model *m)
{
	free(m->data);
	free(m->unknown);
}

/* Compare, learning what became of discarded sectors: the old data or zeroes. */
static void model_compare(struct model *m, uint64_t off, const uint8_t *buf, uint64_t len)
{
	static const uint8_t zeroes[512];
	uint64_t i;

	for (i = 0; i < len; i += 512) {
		uint64_t n = len - i < 512 ? len - i : 512;

		if (m->unknown[(off + i) / 512] && !memcmp(buf + i, zeroes, n)) {
			memset(m->data + off + i, 0, n);
			m->unknown[(off + i) / 512] = 0;
		}
		CHECK(!memcmp(m->data + off + i, buf + i, n), "at %#llx",
		      (unsigned long long)(off + i));
	}
}

static void random_range(struct rnd *r, uint64_t size, uint64_t *off, uint64_t *len)
{
	uint64_t max = rnd_below(r, 4) ? 16384 : MAX_IO;

	*off = rnd_below(r, size) & ~511ull;
	*len = (rnd_below(r, max) & ~511ull) + 512;
	if (!rnd_below(r, 4)) {		/* whole clusters of some size */
		*off &= ~0xffffull;
		*len = (*len + 0xffff) & ~0xffffull;
	}
	if (*len > MAX_IO)
		*len = MAX_IO;
	if (*len > size - *off)
		*len = size - *off;
}

static void random_op(struct test_queue *tq, struct model *m, struct rnd *r)
{
	uint64_t off, len, i;
	uint32_t flags;

	random_range(r, m->size, &off, &len);
	switch (rnd_below(r, 12)) {
	case 0: case 1: case 2: case 3:
		memset(io_buf, 0xaa, len);
		CHECK(!tq_rw(tq, BLK_READ, off, io_buf, len, 0));
		model_compare(m, off, io_buf, len);
		break;
	case 4: case 5: case 6: case 7: case 8:
		rnd_fill(r, io_buf, len);
		CHECK(!tq_rw(tq, BLK_WRITE, off, io_buf, len,
			     rnd_below(r, 16) ? 0 : BLK_REQ_FUA));
		memcpy(m->data + off, io_buf, len);
		memset(m->unknown + off / 512, 0, (len + 511) / 512);
		break;
	case 9:
		flags = rnd_below(r, 2) ? BLK_REQ_UNMAP : 0;
		CHECK(!tq_rw(tq, BLK_WRITE_ZEROES, off, NULL, len, flags));
		memset(m->data + off, 0, len);
		memset(m->unknown + off / 512, 0, (len + 511) / 512);
		break;
	case 10:
		CHECK(!tq_rw(tq, BLK_DISCARD, off, NULL, len, 0));
		for (i = off / 512; i < (off + len + 511) / 512; i++)
			m->unknown[i] = 1;
		break;
	default:
		if (!rnd_below(r, 3))
			CHECK(!tq_flush(tq));
		break;
	}
}

static void verify_all(struct test_queue *tq, struct model *m)
{
	uint64_t off, len;

	for (off = 0; off < m->size; off += len) {
		len = m->size - off < MAX_IO ? m->size - off : MAX_IO;
		CHECK(!tq_rw(tq, BLK_READ, off, io_buf, len, 0));
		model_compare(m, off, io_buf, len);
	}
}

/* Random operations on image "t", in sessions, each ending with a check by qemu-img. */
static void exercise(unsigned int seed, unsigned int sessions, unsigned int ops)
{
	struct rnd r = { .s = seed };
	struct test_queue tq;
	struct blk_image *img;
	struct model m;
	unsigned int i;

	model_from_image(&m, "t");
	while (sessions--) {
		img = test_open("t", BLK_FORMAT_PROBE, false);
		CHECK(blk_size(img) == m.size);
		tq_open(&tq, img);
		for (i = 0; i < ops; i++)
			random_op(&tq, &m, &r);
		verify_all(&tq, &m);
		tq_close(&tq);
		CHECK(!blk_close(img));
		check_clean("t", false);
	}
	/* And as QEMU sees it. */
	file_write_at("model.raw", 0, m.data, m.size);
	run("qemu-img compare -f raw -F qcow2 model.raw t");
	model_free(&m);
}

static void make_base(const char *path, const char *fmt, const char *size, unsigned int seed)
{
	struct rnd r = { .s = seed };
	uint64_t i, n;
	FILE *f;

	run("qemu-img create -f raw base.tmp %s", size);
	f = fopen("base.tmp", "r+");
	CHECK(f);
	n = file_size("base.tmp");
	for (i = 0; i < 40; i++) {
		uint64_t len = (rnd_below(&r, 120 << 10) & ~511ull) + 512;
		uint64_t off = rnd_below(&r, n) & ~511ull;

		if (len > n - off)
			len = n - off;
		rnd_fill(&r, io_buf, len);
		/* Half of it compressible. */
		memset(io_buf, (int)i, len / 2);
		CHECK(!fseek(f, (long)off, SEEK_SET) && fwrite(io_buf, len, 1, f) == 1);
	}
	CHECK(!fclose(f));
	run("qemu-img convert -f raw %s base.tmp %s", fmt, path);
	unlink("base.tmp");
}

static void test_plain(void)
{
	static const char *const opts[] = {
		"compat=0.10",
		"compat=1.1",
		"compat=1.1,lazy_refcounts=on",
		"compat=0.10,cluster_size=512",
		"cluster_size=512",
		"cluster_size=1k,refcount_bits=64",
		"cluster_size=4k,refcount_bits=1",
		"cluster_size=2M",
		"refcount_bits=1",
		"refcount_bits=2",
		"refcount_bits=4",
		"refcount_bits=8",
		"refcount_bits=32,cluster_size=512",
		"refcount_bits=64",
		"preallocation=metadata",
		"preallocation=falloc,cluster_size=4k",
		"cluster_size=512,lazy_refcounts=on,refcount_bits=64",
	};
	unsigned int i;

	for (i = 0; i < sizeof(opts) / sizeof(*opts); i++) {
		run("qemu-img create -f qcow2 -o %s t 6M", opts[i]);
		exercise(100 + i, 2, 120);
		unlink("t");
	}
}

static void test_odd_size(void)
{
	run("qemu-img create -f qcow2 t 3146240");
	exercise(1, 2, 150);
	run("qemu-img create -f qcow2 -o cluster_size=2M t 512");
	exercise(2, 2, 30);
}

static void test_compressed(void)
{
	make_base("t", "-O qcow2 -c", "5M", 1);
	exercise(21, 2, 150);
	unlink("t");
	make_base("t", "-O qcow2 -c -o compression_type=zstd", "5M", 2);
	exercise(22, 2, 150);
	unlink("t");
	make_base("t", "-O qcow2 -c -o cluster_size=2M,compression_type=zstd", "9M", 3);
	exercise(23, 1, 80);
	unlink("t");
	make_base("t", "-O qcow2 -c -o cluster_size=512", "1M", 4);
	exercise(24, 2, 100);
	unlink("t");
	make_base("t", "-O qcow2 -c -o compat=0.10,cluster_size=4k", "3M", 4);
	exercise(25, 2, 100);
}

static void test_chain(void)
{
	static const struct { const char *base, *base_size, *mid, *top; } c[] = {
		{ "-O raw", "3M", "compat=1.1", "compat=1.1" },
		{ "-O qcow2 -c", "6M", "cluster_size=4k", "cluster_size=2M" },
		{ "-O qcow2", "9M", "compat=0.10", "compat=0.10" },
		{ "-O qcow2 -o cluster_size=512", "2M", "lazy_refcounts=on", "cluster_size=1k" },
		{ "-O qcow2 -c -o compression_type=zstd", "5M", "cluster_size=64k",
		  "lazy_refcounts=on" },
	};
	char fmt[8];
	unsigned int i;
	uint64_t base, mid;

	for (i = 0; i < sizeof(c) / sizeof(*c); i++) {
		make_base("base", c[i].base, c[i].base_size, 40 + i);
		snprintf(fmt, sizeof(fmt), "%s", strstr(c[i].base, "raw") ? "raw" : "qcow2");
		run("qemu-img create -f qcow2 -o %s -b base -F %s mid 4M", c[i].mid, fmt);
		run("qemu-io -c 'write -P 7 1M 130k' -c 'write -z 300k 700k' mid");
		run("qemu-img create -f qcow2 -o %s -b mid -F qcow2 t 7M", c[i].top);
		base = file_hash("base");
		mid = file_hash("mid");
		exercise(300 + i, 2, 200);
		CHECK(file_hash("base") == base && file_hash("mid") == mid);
		run("rm -f base mid t");
	}
}

/* Snapshots share clusters and tables: writing must not change what they hold. */
static void test_snapshots(void)
{
	static const char *const opts[] = { "compat=1.1", "compat=0.10", "refcount_bits=2",
					    "cluster_size=512", "lazy_refcounts=on" };
	unsigned int i;

	for (i = 0; i < sizeof(opts) / sizeof(*opts); i++) {
		make_base("t", i % 2 ? "-O qcow2 -c" : "-O qcow2", "4M", 60 + i);
		run("qemu-img create -f qcow2 -o %s n 4M", opts[i]);
		run("qemu-img convert -n -O qcow2 %s t n && mv n t", i % 2 ? "-c" : "");
		run("qemu-img snapshot -c one t");
		run("qemu-img convert -O raw t one.raw");
		exercise(400 + i, 1, 100);
		run("qemu-img snapshot -c two t");
		run("qemu-img convert -O raw t two.raw");
		exercise(500 + i, 2, 100);
		run("qemu-img convert -l snapshot.name=one -O raw t s && cmp s one.raw");
		run("qemu-img convert -l snapshot.name=two -O raw t s && cmp s two.raw");
		run("qemu-img snapshot -d one t");
		check_clean("t", false);
		exercise(600 + i, 1, 100);
		run("qemu-img snapshot -a two t");
		run("qemu-img compare t two.raw");
		exercise(700 + i, 1, 50);
		run("qemu-img snapshot -d two t");
		check_clean("t", false);
	}
}

/* The refcount table of small clusters runs out and has to move. */
static void test_grow_refcount_table(void)
{
	static uint8_t buf[1 << 20];
	struct rnd r = { .s = 5 };
	struct test_queue tq;
	struct blk_image *img;
	uint64_t off;

	run("qemu-img create -f qcow2 -o cluster_size=512,refcount_bits=64 t 24M");
	img = test_open("t", BLK_FORMAT_QCOW2, false);
	tq_open(&tq, img);
	rnd_fill(&r, buf, sizeof(buf));
	for (off = 0; off < 24u << 20; off += sizeof(buf)) {
		memcpy(buf, &off, sizeof(off));
		CHECK(!tq_rw(&tq, BLK_WRITE, off, buf, sizeof(buf), 0));
		if (off == 7u << 20)
			CHECK(!tq_flush(&tq));
	}
	tq_close(&tq);
	CHECK(!blk_close(img));
	check_clean("t", false);
	img = test_open("t", BLK_FORMAT_QCOW2, false);
	tq_open(&tq, img);
	for (off = 0; off < 24u << 20; off += sizeof(buf)) {
		static uint8_t got[1 << 20];

		memcpy(buf, &off, sizeof(off));
		CHECK(!tq_rw(&tq, BLK_READ, off, got, sizeof(got), 0));
		CHECK(!memcmp(buf, got, sizeof(got)));
	}
	CHECK(!tq_rw(&tq, BLK_DISCARD, 0, NULL, 24u << 20, 0));
	tq_close(&tq);
	CHECK(!blk_close(img));
	check_clean("t", false);
}

/* More L2 slices than the cache holds: they are evicted, dirty ones after a flush. */
static void test_cache_pressure(void)
{
	qcow2_cache_bytes = 16 * 512;
	run("qemu-img create -f qcow2 -o cluster_size=512 t 4M");
	exercise(90, 2, 200);
	unlink("t");
	qcow2_cache_bytes = 16 * 4096;
	make_base("base", "-O qcow2 -c -o cluster_size=4k", "60M", 91);
	run("qemu-img create -f qcow2 -o cluster_size=4k -b base -F qcow2 t 64M");
	exercise(91, 1, 300);
	qcow2_cache_bytes = 32 << 20;
}

/* Left behind by a QEMU that died, with refcounts that are not up to date. */
static void test_dirty_by_qemu(void)
{
	static const char *const opts[] = { "refcount_bits=16", "cluster_size=512,refcount_bits=64" };
	unsigned int i;

	for (i = 0; i < 2; i++) {
		run("qemu-img create -f qcow2 -o lazy_refcounts=on,%s t 14M", opts[i]);
		run("qemu-io -c 'write -P 1 0 2M' t && qemu-img snapshot -c s t");
		/* In the second case more than the old refcount table can count. */
		run_status("qemu-io -c 'write -P 5 1M 12M' -c flush -c abort t");
		CHECK(run_status("qemu-img check t") == 2);
		exercise(700 + i, 1, 60);
		run("qemu-img snapshot -a s t && qemu-io -c 'read -P 1 0 2M' t | grep -v failed");
		check_clean("t", false);
	}
}

/* Bitmaps stay, with all that they occupy, and are said to be inconsistent. */
static void test_bitmaps(void)
{

	run("qemu-img create -f qcow2 t 4M && qemu-img bitmap --add t a && "
	    "qemu-img bitmap --add -g 4k t b && qemu-io -c 'write 0 1M' t");
	exercise(800, 1, 60);
	run("test $(qemu-img info t | grep -c in-use) = 2");
	check_clean("t", false);
}

static void test_threads_engine(void)
{
	blk_aio_force = &blk_aio_pool;
	run("qemu-img create -f qcow2 t 6M");
	exercise(77, 2, 200);
	blk_aio_force = NULL;
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		{ "qcow2 plain images of all kinds", test_plain },
		{ "qcow2 odd sizes", test_odd_size },
		{ "qcow2 compressed", test_compressed },
		{ "qcow2 backing chains", test_chain },
		{ "qcow2 internal snapshots", test_snapshots },
		{ "qcow2 refcount table grows", test_grow_refcount_table },
		{ "qcow2 L2 cache pressure", test_cache_pressure },
		{ "qcow2 images that QEMU left dirty", test_dirty_by_qemu },
		{ "qcow2 with bitmaps", test_bitmaps },
		{ "qcow2 without io_uring", test_threads_engine },
	};

	return test_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
