// SPDX-License-Identifier: GPL-2.0-or-later
/* The block layer apart from formats: raw images, locks, errors of the host, several queues. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../virtio-backends/block/qcow2/qcow2.h"
#include "block_util.h"

static uint8_t buf[1 << 20];

static bool all_are(const uint8_t *p, uint64_t len, uint8_t v)
{
	for (; len; p++, len--)
		if (*p != v)
			return false;
	return true;
}

/* ---- raw ---- */

static void raw_engine(const struct blk_aio_ops *ops)
{
	struct test_queue tq;
	struct blk_image *img;
	struct stat st;

	blk_aio_force = ops;
	run("qemu-img create -f raw t 1000000 && qemu-io -f raw -c 'write -P 5 0 1000000' t && "
	    "truncate -s 1000000 t");
	img = test_open("t", BLK_FORMAT_RAW, false);
	CHECK(blk_size(img) == 1000448);
	tq_open(&tq, img);
	memset(buf, 0x77, sizeof(buf));
	CHECK(!tq_rw(&tq, BLK_READ, 999936, buf, 512, 0));
	CHECK(all_are(buf, 64, 5) && all_are(buf + 64, 448, 0));
	memset(buf, 9, 512);
	CHECK(!tq_rw(&tq, BLK_WRITE, 999936, buf, 512, BLK_REQ_FUA));
	CHECK(file_size("t") == 1000448);
	CHECK(!tq_rw(&tq, BLK_WRITE_ZEROES, 4096, NULL, 8192 + 512, 0));
	CHECK(!tq_rw(&tq, BLK_DISCARD, 65536, NULL, 655360, 0));
	CHECK(!stat("t", &st) && st.st_blocks * 512 < 500000);
	CHECK(!tq_rw(&tq, BLK_READ, 0, buf, 1000448, 0));
	CHECK(all_are(buf, 4096, 5) && all_are(buf + 4096, 8704, 0) &&
	      all_are(buf + 12800, 4096, 5));
	CHECK(all_are(buf + 65536, 655360, 0) && all_are(buf + 720896, 512, 5));
	CHECK(!tq_flush(&tq));
	CHECK(tq_rw(&tq, BLK_READ, 1000448, buf, 512, 0) == -EINVAL);
	CHECK(tq_rw(&tq, BLK_READ, ~511ull, buf, 1024, 0) == -EINVAL);
	CHECK(!tq_rw(&tq, BLK_READ, 1000448, buf, 0, 0));
	tq_close(&tq);
	CHECK(!blk_close(img));

	img = test_open("t", BLK_FORMAT_PROBE, true);
	CHECK(blk_is_readonly(img) && !strcmp(blk_filename(img), "t"));
	tq_open(&tq, img);
	CHECK(tq_rw(&tq, BLK_WRITE, 0, buf, 512, 0) == -EROFS);
	CHECK(tq_rw(&tq, BLK_DISCARD, 0, buf, 512, 0) == -EROFS);
	CHECK(tq_rw(&tq, BLK_WRITE_ZEROES, 0, buf, 512, 0) == -EROFS);
	CHECK(!tq_flush(&tq));
	CHECK(!tq_rw(&tq, BLK_READ, 0, buf, 4096, 0) && all_are(buf, 4096, 5));
	tq_close(&tq);
	CHECK(!blk_close(img));
	blk_aio_force = NULL;
}

static void test_raw(void)
{
	raw_engine(NULL);
	raw_engine(&blk_aio_pool);
}

/* Needs the right to make a loop device. */
static void test_block_device(void)
{
	char dev[64] = "", *nl;
	struct test_queue tq;
	struct blk_image *img;
	uint64_t off;

	run("truncate -s 24M disk");
	if (run_status("losetup -f --show disk")) {
		printf("    cannot make a loop device: not tested\n");
		return;
	}
	file_read_at("out", 0, dev, file_size("out") < sizeof(dev) ? file_size("out") : 1);
	nl = strchr(dev, '\n');
	CHECK(nl);
	*nl = '\0';

	img = test_open(dev, BLK_FORMAT_RAW, false);
	CHECK(blk_size(img) == 24u << 20);
	tq_open(&tq, img);
	memset(buf, 3, sizeof(buf));
	CHECK(!tq_rw(&tq, BLK_WRITE, 23u << 20, buf, 1 << 20, 0));
	CHECK(!tq_rw(&tq, BLK_WRITE_ZEROES, (23u << 20) + 512, NULL, 65536, BLK_REQ_UNMAP));
	CHECK(!tq_rw(&tq, BLK_DISCARD, (23u << 20) + 131072, NULL, 65536, 0));
	CHECK(!tq_rw(&tq, BLK_READ, 23u << 20, buf, 1 << 20, 0));
	CHECK(all_are(buf, 512, 3) && all_are(buf + 512, 65536, 0) && buf[66048] == 3);
	CHECK(!tq_flush(&tq));
	tq_close(&tq);
	CHECK(!blk_close(img));

	/* A qcow2 image fills it from the front, whatever it held before. */
	run("qemu-img create -f qcow2 -o cluster_size=4k %s 32M", dev);
	img = test_open(dev, BLK_FORMAT_QCOW2, false);
	tq_open(&tq, img);
	memset(buf, 8, sizeof(buf));
	for (off = 0; off < 20u << 20; off += 1 << 20)
		CHECK(!tq_rw(&tq, BLK_WRITE, off + 512, buf, (1 << 20) - 1024, 0));
	CHECK(tq_rw(&tq, BLK_WRITE, 20u << 20, buf, 1 << 20, 0) ||
	      tq_rw(&tq, BLK_WRITE, 21u << 20, buf, 1 << 20, 0) ||
	      tq_rw(&tq, BLK_WRITE, 22u << 20, buf, 1 << 20, 0) ||
	      tq_rw(&tq, BLK_WRITE, 23u << 20, buf, 1 << 20, 0));
	CHECK(!tq_rw(&tq, BLK_READ, 23u << 20, buf, 1 << 20, 0));
	CHECK(!tq_rw(&tq, BLK_READ, 19u << 20, buf, 1 << 20, 0));
	CHECK(all_are(buf, 512, 0) && all_are(buf + 512, (1 << 20) - 1024, 8));
	tq_close(&tq);
	CHECK(!blk_close(img));
	run("qemu-img check -f qcow2 %s", dev);
	run("losetup -d %s", dev);
}

/* ---- locks ---- */

static void must_be_busy(const char *path, bool readonly, const char *msg)
{
	struct blk_open_opts opts = { .filename = path, .readonly = readonly };
	struct blk_image *img;
	struct hv_err err;

	CHECK(blk_open(&opts, &img, &err) == -EBUSY);
	CHECK(!strcmp(err.msg, msg), "%s", err.msg);
}

/* qemu-io with the image open, holding on until its input ends. */
static FILE *qemu_io_start(const char *args)
{
	char cmd[256];
	FILE *f;

	unlink("ready");
	snprintf(cmd, sizeof(cmd), "qemu-io %s >ready 2>&1", args);
	f = popen(cmd, "w");
	CHECK(f);
	fprintf(f, "read 0 512\n");
	fflush(f);
	while (access("ready", F_OK) || !file_size("ready"))
		usleep(10000);
	return f;
}

static void test_locks(void)
{
	struct blk_image *a, *b;
	FILE *f;

	run("qemu-img create -f qcow2 base 1M && qemu-img create -f qcow2 -b base -F qcow2 t && "
	    "qemu-img create -f qcow2 -b base -F qcow2 u");
	/* We are writing. */
	a = test_open("t", BLK_FORMAT_QCOW2, false);
	must_be_busy("t", false,
		     "t: in use by another process (lock held); a disk can be written by one guest only");
	must_be_busy("t", true, "t: being written by another process (lock held)");
	must_be_busy("base", false,
		     "base: in use by another process (lock held); a disk can be written by one guest only");
	run("qemu-img check t 2>&1 | grep 'Failed to get'");
	CHECK(run_status("qemu-io -c 'write 0 512' t"));
	CHECK(run_status("qemu-io -c 'write 0 512' base"));
	run("qemu-img info -U t");
	/* Many may share the base image. */
	b = test_open("u", BLK_FORMAT_QCOW2, false);
	CHECK(!blk_close(b));
	run("qemu-io -c 'write 0 512' u");
	CHECK(!blk_close(a));

	/* QEMU is writing. */
	f = qemu_io_start("t");
	must_be_busy("t", false,
		     "t: in use by another process (lock held); a disk can be written by one guest only");
	must_be_busy("t", true, "t: being written by another process (lock held)");
	CHECK(!blk_close(test_open("u", BLK_FORMAT_QCOW2, false)));
	pclose(f);
	/* QEMU is reading. */
	f = qemu_io_start("-r t");
	must_be_busy("t", false,
		     "t: in use by another process (lock held); a disk can be written by one guest only");
	CHECK(!blk_close(test_open("t", BLK_FORMAT_QCOW2, true)));
	pclose(f);
	CHECK(!blk_close(test_open("t", BLK_FORMAT_QCOW2, false)));
}

/* ---- errors of the host ---- */

struct fault {
	atomic_int countdown;	/* writes until they fail, < 0: never */
	int code;
	int length;		/* how many fail */
};

static int fault_hook(void *opaque, enum blk_file_op op, uint64_t off, const struct iovec *iov,
		      int iovcnt, uint64_t len)
{
	struct fault *f = opaque;
	int n;

	if (op == BLK_FILE_SYNC)
		return 0;
	n = atomic_fetch_sub(&f->countdown, 1);
	return n <= 0 && n > -f->length ? f->code : 0;
}

/*
 * Let changes of the file fail somewhere in a sequence of requests. What succeeded must be there,
 * later requests work, and the image is clean in the end.
 */
static void faults(const char *opts, int code)
{
	static uint64_t model[2048];	/* per 512 bytes: number of the last good write */
	static bool unsure[2048];	/* a write failed: any content */
	struct fault f = { .code = code };
	struct test_queue tq;
	struct blk_image *img;
	unsigned int round, i, failed = 0;
	struct rnd r = { .s = 7 };
	uint64_t s, n, k, *w = (uint64_t *)buf;

	for (round = 0; round < 25; round++) {
		run("qemu-img create -f qcow2 -o %s t 1M", opts);
		memset(model, 0, sizeof(model));
		memset(unsure, 0, sizeof(unsure));
		img = test_open("t", BLK_FORMAT_QCOW2, false);
		img->file.trace = fault_hook;
		img->file.trace_opaque = &f;
		f.countdown = (int)round;
		f.length = 1 + (int)rnd_below(&r, 4);
		tq_open(&tq, img);
		for (i = 1; i < 60; i++) {
			s = rnd_below(&r, 2048);
			n = rnd_below(&r, 60) + 1;
			if (n > 2048 - s)
				n = 2048 - s;
			for (k = 0; k < n * 64; k++)
				w[k] = i;
			if (!rnd_below(&r, 6)) {
				failed += tq_flush(&tq) != 0;
				continue;
			}
			if (tq_rw(&tq, BLK_WRITE, s * 512, buf, n * 512, 0)) {
				failed++;
				memset(unsure + s, 1, n);
				continue;
			}
			for (k = s; k < s + n; k++)
				model[k] = i;
			memset(unsure + s, 0, n);
		}
		CHECK(!tq_flush(&tq));
		CHECK(!tq_rw(&tq, BLK_READ, 0, buf, 1 << 20, 0));
		for (k = 0; k < 2048; k++)
			CHECK(unsure[k] || w[k * 64] == model[k], "sector %llu",
			      (unsigned long long)k);
		tq_close(&tq);
		CHECK(!blk_close(img));
		check_clean("t", false);
	}
	CHECK(failed >= 25);
}

static void test_faults(void)
{
	faults("cluster_size=4k", -ENOSPC);
	faults("cluster_size=512,refcount_bits=64", -ENOSPC);
	faults("cluster_size=4k,lazy_refcounts=on", -EIO);
}

/*
 * A file system that is really full. Needs the right to mount; without it, the test above counts.
 */
static void test_full_disk(void)
{
	struct test_queue tq;
	struct blk_image *img;
	uint64_t off;
	int ret = 0;

	CHECK(!mkdir("mnt", 0700));
	if (mount("none", "mnt", "tmpfs", 0, "size=3m")) {
		printf("    cannot mount: host errors were simulated only\n");
		return;
	}
	run("qemu-img create -f qcow2 mnt/t 16M && head -c 600k /dev/zero >mnt/ballast");
	img = test_open("mnt/t", BLK_FORMAT_QCOW2, false);
	tq_open(&tq, img);
	for (off = 0; off < 16u << 20 && !ret; off += 1 << 16) {
		memset(buf, (int)(off >> 16) + 1, 1 << 16);
		ret = tq_rw(&tq, BLK_WRITE, off, buf, 1 << 16, 0);
	}
	CHECK(ret == -ENOSPC);
	CHECK(!tq_flush(&tq));
	CHECK(!tq_rw(&tq, BLK_READ, 0, buf, 4096, 0) && all_are(buf, 4096, 1));
	CHECK(!tq_rw(&tq, BLK_WRITE, 4096, buf, 4096, 0));
	CHECK(!unlink("mnt/ballast"));
	off -= 1 << 16;
	CHECK(!tq_rw(&tq, BLK_WRITE, off, buf, 1 << 16, 0));
	tq_close(&tq);
	CHECK(!blk_close(img));
	check_clean("mnt/t", false);
	CHECK(!umount("mnt"));
}

/* ---- several queues ---- */

#define QUEUES		4
#define DEPTH		16
#define Q_OPS		1500
#define Q_SIZE		(16u << 20)
#define PIECE		(12u << 10)	/* pieces of one queue lie next to those of others */

struct worker {
	pthread_t thread;
	unsigned int id;
	struct blk_image *img;
	struct test_queue tq;
	struct rnd r;
	unsigned int left, active;
	struct slot {
		struct worker *w;
		struct blk_req req;
		struct iovec iov[2];
		uint8_t *data;
		uint64_t piece;
	} slot[DEPTH];
	/* Per piece of this worker: the byte it is filled with, and whether it is in use. */
	uint8_t value[Q_SIZE / PIECE / QUEUES];
	bool busy[Q_SIZE / PIECE / QUEUES];
};

static void slot_next(struct slot *s);

static void slot_done(struct blk_req *req, int ret)
{
	struct slot *s = req->opaque;
	struct worker *w = s->w;

	CHECK(!ret, "%d", ret);
	if (req->op == BLK_READ)
		CHECK(all_are(s->data, req->len, w->value[s->piece]), "queue %u", w->id);
	if (req->op != BLK_FLUSH)
		w->busy[s->piece] = false;
	w->active--;
	slot_next(s);
}

static void slot_next(struct slot *s)
{
	static const enum blk_op op[] = {
		BLK_READ, BLK_READ, BLK_READ, BLK_WRITE, BLK_WRITE, BLK_WRITE, BLK_WRITE,
		BLK_WRITE_ZEROES, BLK_FLUSH,
	};
	struct worker *w = s->w;
	uint64_t off;

	if (!w->left)
		return;
	w->left--;
	w->active++;
	s->piece = rnd_below(&w->r, Q_SIZE / PIECE / QUEUES);
	s->req = (struct blk_req){ .op = op[rnd_below(&w->r, 9)], .done = slot_done, .opaque = s,
				   .iov = s->iov, .iovcnt = 2 };
	if (s->req.op != BLK_FLUSH && w->busy[s->piece])
		s->req.op = BLK_FLUSH;
	if (s->req.op == BLK_FLUSH) {
		blk_submit(w->tq.q, &s->req);
		return;
	}
	w->busy[s->piece] = true;
	off = (s->piece * QUEUES + w->id) * PIECE;
	s->req.offset = off;
	s->req.len = PIECE;
	s->req.flags = BLK_REQ_UNMAP;
	if (s->req.op == BLK_WRITE) {
		w->value[s->piece] = (uint8_t)rnd_next(&w->r);
		memset(s->data, w->value[s->piece], PIECE);
	} else if (s->req.op == BLK_WRITE_ZEROES) {
		w->value[s->piece] = 0;
	}
	blk_submit(w->tq.q, &s->req);
}

static void *worker_run(void *arg)
{
	struct worker *w = arg;
	unsigned int i;

	tq_open(&w->tq, w->img);
	for (i = 0; i < DEPTH; i++) {
		struct slot *s = &w->slot[i];

		s->w = w;
		s->data = malloc(PIECE);
		CHECK(s->data);
		s->iov[0] = (struct iovec){ s->data, 1024 };
		s->iov[1] = (struct iovec){ s->data + 1024, PIECE - 1024 };
		slot_next(s);
	}
	while (w->active) {
		blk_kick(w->tq.q);
		if (w->active)
			CHECK(hv_loop_run_once(w->tq.loop, 30000) >= 0);
	}
	for (i = 0; i < DEPTH; i++)
		free(w->slot[i].data);
	tq_close(&w->tq);
	return NULL;
}

static void queues(const char *create, unsigned int seed)
{
	static struct worker workers[QUEUES];
	struct test_queue tq;
	struct blk_image *img;
	unsigned int i, p;

	run("%s", create);
	img = test_open("t", BLK_FORMAT_QCOW2, false);
	memset(workers, 0, sizeof(workers));
	for (i = 0; i < QUEUES; i++) {
		workers[i].id = i;
		workers[i].img = img;
		workers[i].left = Q_OPS;
		workers[i].r.s = seed + i;
		CHECK(!pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]));
	}
	for (i = 0; i < QUEUES; i++)
		CHECK(!pthread_join(workers[i].thread, NULL));
	tq_open(&tq, img);
	for (i = 0; i < QUEUES; i++) {
		for (p = 0; p < Q_SIZE / PIECE / QUEUES; p++) {
			CHECK(!tq_rw(&tq, BLK_READ, (p * QUEUES + i) * PIECE, buf, PIECE, 0));
			CHECK(all_are(buf, PIECE, workers[i].value[p]), "queue %u piece %u", i, p);
		}
	}
	tq_close(&tq);
	CHECK(!blk_close(img));
	check_clean("t", false);
}

static void test_queues(void)
{
	queues("qemu-img create -f qcow2 t 16M", 1);
	queues("qemu-img create -f qcow2 -o cluster_size=4k,lazy_refcounts=on t 16M", 2);
	queues("qemu-img create -f raw base 10M && qemu-img create -f qcow2 -b base -F raw t 16M", 3);
	queues("qemu-img create -f qcow2 -o preallocation=metadata t 16M", 4);
	/* With a cache of tables that is far too small. */
	qcow2_cache_bytes = 16 * 512;
	queues("qemu-img create -f qcow2 -o cluster_size=512 t 16M", 5);
	qcow2_cache_bytes = 32 << 20;
}

/* ---- many and large requests ---- */

struct many {
	unsigned int left;
	struct blk_req req[1000];
};

static void many_done(struct blk_req *req, int ret)
{
	struct many *m = req->opaque;

	CHECK(!ret);
	m->left--;
}

static void test_batch(void)
{
	static struct many m;
	static struct iovec iov[1000];
	struct test_queue tq;
	struct blk_image *img;
	unsigned int i;

	run("qemu-img create -f qcow2 -o preallocation=metadata t 8M");
	img = test_open("t", BLK_FORMAT_QCOW2, false);
	tq_open(&tq, img);
	for (i = 0; i < 2000; i++) {
		iov[i % 1000] = (struct iovec){ buf + (i % 1000) * 512, 512 };
		if (i < 1000)
			memset(buf + i * 512, (int)i, 512);
		m.req[i % 1000] = (struct blk_req){
			.op = i < 1000 ? BLK_WRITE : BLK_READ, .offset = (i % 1000) * 4096ull,
			.len = 512, .iov = &iov[i % 1000], .iovcnt = 1, .done = many_done,
			.opaque = &m,
		};
		m.left++;
		blk_submit(tq.q, &m.req[i % 1000]);
		if (i % 1000 == 999) {
			blk_kick(tq.q);
			while (m.left)
				CHECK(hv_loop_run_once(tq.loop, 30000) >= 0);
			if (i == 999)
				memset(buf, 0, sizeof(buf));
		}
	}
	for (i = 0; i < 1000; i++)
		CHECK(all_are(buf + i * 512, 512, (uint8_t)i), "%u", i);
	/* One request with more elements than a system call takes. */
	for (i = 0; i < 1000; i++)
		iov[i] = (struct iovec){ buf + i, 1 };
	iov[999].iov_len = 1024 - 999;
	m.req[0] = (struct blk_req){ .op = BLK_READ, .offset = 8192, .len = 1024, .iov = iov,
				     .iovcnt = 1000, .done = many_done, .opaque = &m };
	m.left = 1;
	blk_submit(tq.q, &m.req[0]);
	blk_kick(tq.q);
	while (m.left)
		CHECK(hv_loop_run_once(tq.loop, 30000) >= 0);
	CHECK(all_are(buf, 512, 2) && all_are(buf + 512, 512, 0));
	tq_close(&tq);
	CHECK(!blk_close(img));
}

/* ---- kill -9 ---- */

/* Write to "t" until killed; says "+" when something is there, numbers each write. */
static void victim(unsigned int seed, int fd)
{
	struct rnd r = { .s = seed };
	struct blk_image *img = test_open("t", BLK_FORMAT_QCOW2, false);
	struct test_queue tq;
	unsigned int i;

	tq_open(&tq, img);
	for (i = 0;; i++) {
		uint64_t n = rnd_below(&r, 100000) & ~511ull,
			 off = rnd_below(&r, 15u << 20) & ~511ull;

		rnd_fill(&r, buf, n + 512);
		tq_rw(&tq, i % 7 == 6 ? BLK_DISCARD : BLK_WRITE, off, buf, n + 512, 0);
		if (i % 10 == 9)
			tq_flush(&tq);
		if (i == 0 && write(fd, "+", 1) != 1)
			_exit(1);
	}
}

static void test_kill(void)
{
	struct rnd r = { .s = 12 };
	int fds[2], i, st, leaks = 0;
	pid_t pid;
	char c;

	run("qemu-img create -f raw base 16M && qemu-img create -f qcow2 -b base -F raw t");
	for (i = 0; i < 25; i++) {
		CHECK(!pipe(fds));
		pid = fork();
		CHECK(pid >= 0);
		if (!pid)
			victim((unsigned int)i, fds[1]);
		CHECK(read(fds[0], &c, 1) == 1);
		usleep((useconds_t)rnd_below(&r, 60000));
		CHECK(!kill(pid, SIGKILL) && waitpid(pid, &st, 0) == pid && WIFSIGNALED(st));
		close(fds[0]);
		close(fds[1]);
		/* The lock goes when the kernel is done with the dead process's io_uring. */
		run("for i in $(seq 50); do qemu-img info t && break; sleep 0.1; done");
		st = run_status("qemu-img check t");
		CHECK(!st || st == 3, "qemu-img check: %d after kill %d", st, i);
		if (st == 3) {
			leaks++;
			run("qemu-img check -r leaks t");
		}
	}
	printf("    %d of 25 kills came between the barriers of a flush and left leaks\n", leaks);
	CHECK(leaks < 25);
}

/* ---- What was answered outlives a process that ends without a word ---- */

/* In a child: each cluster is written in two pieces, one zeroed; no flush, no close. */
static void write_and_vanish(void)
{
	const struct blk_open_opts opts = {
		.filename = "t", .format = BLK_FORMAT_QCOW2, .outlives_process = true,
	};
	struct hv_err err = { 0 };
	struct blk_image *img;
	struct test_queue tq;

	CHECK(!blk_open(&opts, &img, &err), "%s", err.msg);
	tq_open(&tq, img);
	for (uint64_t off = 0; off < 8u << 20; off += 32768) {
		memset(buf, (int)(1 + off / 32768 % 250), 32768);
		CHECK(!tq_rw(&tq, BLK_WRITE, off, buf, 32768, 0));
	}
	CHECK(!tq_rw(&tq, BLK_WRITE_ZEROES, 1u << 20, NULL, 65536, 0));
	CHECK(!tq_rw(&tq, BLK_WRITE, 1u << 20, buf, 32768, 0));
	_exit(0);
}

static void test_vanish(void)
{
	struct blk_image *img;
	struct test_queue tq;
	uint8_t last;
	int status;
	pid_t pid;

	run("qemu-img create -f qcow2 base 8M && qemu-io -c 'write -P 251 0 8M' base && "
	    "qemu-img create -f qcow2 -b base -F qcow2 t");
	fflush(stdout);
	pid = fork();
	if (!pid)
		write_and_vanish();
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	run("qemu-img check -r leaks t");
	img = test_open("t", BLK_FORMAT_QCOW2, false);
	tq_open(&tq, img);
	last = (uint8_t)(1 + ((8u << 20) / 32768 - 1) % 250);
	for (uint64_t off = 0; off < 8u << 20; off += 32768) {
		uint8_t want = (uint8_t)(1 + off / 32768 % 250);

		if (off >= 1u << 20 && off < (1u << 20) + 65536)
			want = off == 1u << 20 ? last : 0;
		CHECK(!tq_rw(&tq, BLK_READ, off, buf, 32768, 0));
		CHECK(all_are(buf, 32768, want), "at %llu", (unsigned long long)off);
	}
	tq_close(&tq);
	CHECK(!blk_close(img));
	check_clean("t", false);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		{ "raw images", test_raw },
		{ "block devices", test_block_device },
		{ "locks against QEMU and ourselves", test_locks },
		{ "errors of the host file", test_faults },
		{ "host file system full", test_full_disk },
		{ "batches and many elements", test_batch },
		{ "kill -9", test_kill },
		{ "what was answered outlives the process", test_vanish },
		{ "four queues at once", test_queues },
	};

	return test_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
