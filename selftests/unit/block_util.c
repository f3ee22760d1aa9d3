// SPDX-License-Identifier: GPL-2.0-or-later
/* Helpers of the block layer's tests; see block_util.h. */
#define _GNU_SOURCE
#include "block_util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char test_dir[128];
static const char *test_current = "";

static void test_cleanup(void)
{
	char cmd[sizeof(test_dir) + 16];

	if (chdir("/"))
		return;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", test_dir);
	if (system(cmd))
		fprintf(stderr, "cannot remove %s\n", test_dir);
}

void test_fail(const char *file, int line, const char *cond, const char *fmt, ...)
{
	va_list ap;

	printf("not ok %s\n%s:%d: %s ", test_current, file, line, cond);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	if (getenv("KEEP"))
		printf("kept %s\n", test_dir);
	else
		test_cleanup();
	_exit(1);
}

int test_main(int argc, char **argv, const struct test *tests, size_t n)
{
	struct timespec a, b;
	size_t i;

	/* Memory, where there is some: many small syncs, of which no test needs the disk. */
	snprintf(test_dir, sizeof(test_dir), "%s/hv-block-XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	if (!mkdtemp(test_dir) || chdir(test_dir)) {
		perror(test_dir);
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 0; i < n; i++) {
		if (argc > 1 && !strstr(tests[i].name, argv[1]))
			continue;
		test_current = tests[i].name;
		clock_gettime(CLOCK_MONOTONIC, &a);
		tests[i].fn();
		clock_gettime(CLOCK_MONOTONIC, &b);
		printf("ok %s (%.1f s)\n", tests[i].name,
		       (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9);
		CHECK(!system("rm -rf ./*"));
	}
	test_cleanup();
	return 0;
}

static int run_va(const char *fmt, va_list ap)
{
	char cmd[4096] = "{ ";
	size_t n, room = sizeof(cmd) - 20;
	int st;

	n = (size_t)vsnprintf(cmd + 2, room, fmt, ap);
	CHECK(n < room);
	strcat(cmd, "; } >out 2>&1");
	st = system(cmd);
	CHECK(st != -1 && WIFEXITED(st), "%s", cmd);
	return WEXITSTATUS(st);
}

int run_status(const char *fmt, ...)
{
	va_list ap;
	int st;

	va_start(ap, fmt);
	st = run_va(fmt, ap);
	va_end(ap);
	return st;
}

void run(const char *fmt, ...)
{
	va_list ap;
	int st;

	va_start(ap, fmt);
	st = run_va(fmt, ap);
	va_end(ap);
	if (st) {
		fflush(stdout);
		if (system("head -c 2000 out"))
			st = -1;
	}
	CHECK(!st, "%s: status %d", fmt, st);
}

void check_clean(const char *image, bool leaks_ok)
{
	int st = run_status("qemu-img check -f qcow2 %s", image);

	if (st && !(leaks_ok && st == 3)) {
		if (system("head -c 2000 out"))
			st = -1;
	}
	CHECK(!st || (leaks_ok && st == 3), "qemu-img check %s: %d", image, st);
}

struct blk_image *test_open(const char *path, enum blk_format format, bool readonly)
{
	struct blk_open_opts opts = { .filename = path, .format = format, .readonly = readonly };
	struct blk_image *img = NULL;
	struct hv_err err = { 0 };

	CHECK(!blk_open(&opts, &img, &err), "%s", err.msg);
	return img;
}

void tq_open(struct test_queue *tq, struct blk_image *img)
{
	struct hv_err err = { 0 };

	CHECK(!hv_loop_create(&tq->loop));
	CHECK(!blk_queue_create(img, tq->loop, &tq->q, &err), "%s", err.msg);
}

void tq_close(struct test_queue *tq)
{
	CHECK(!blk_inflight(tq->q));
	blk_queue_destroy(tq->q);
	hv_loop_destroy(tq->loop);
}

struct waiter {
	bool done;
	int ret;
};

static void waiter_done(struct blk_req *req, int ret)
{
	struct waiter *w = req->opaque;

	CHECK(!w->done);
	w->done = true;
	w->ret = ret;
}

int tq_rw(struct test_queue *tq, enum blk_op op, uint64_t off, void *buf, uint64_t len,
	  uint32_t flags)
{
	/* In uneven pieces, as guests have them. */
	uint64_t a = len / 3 & ~511ull, b = len / 7 & ~511ull;
	struct iovec iov[3] = {
		{ buf, a }, { (char *)buf + a, b }, { (char *)buf + a + b, len - a - b },
	};
	struct waiter w = { 0 };
	struct blk_req req = {
		.op = op, .flags = flags, .offset = off, .len = len, .iov = iov, .iovcnt = 3,
		.done = waiter_done, .opaque = &w,
	};

	if (op != BLK_READ && op != BLK_WRITE)
		req.iovcnt = 0;
	blk_submit(tq->q, &req);
	CHECK(!w.done);
	blk_kick(tq->q);
	while (!w.done)
		CHECK(hv_loop_run_once(tq->loop, 30000) >= 0);
	return w.ret;
}

int tq_flush(struct test_queue *tq)
{
	return tq_rw(tq, BLK_FLUSH, 0, NULL, 0, 0);
}

uint64_t rnd_next(struct rnd *r)
{
	uint64_t z = r->s += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint64_t rnd_below(struct rnd *r, uint64_t n)
{
	return rnd_next(r) % n;
}

void rnd_fill(struct rnd *r, void *buf, size_t len)
{
	uint8_t *p = buf;
	uint64_t v;

	for (; len >= 8; p += 8, len -= 8) {
		v = rnd_next(r);
		memcpy(p, &v, 8);
	}
	memset(p, (int)r->s, len);
}

static int file_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	CHECK(fd >= 0, "%s", path);
	return fd;
}

void file_write_at(const char *path, uint64_t off, const void *buf, size_t len)
{
	int fd = file_open(path, O_WRONLY);

	CHECK(pwrite(fd, buf, len, (off_t)off) == (ssize_t)len);
	close(fd);
}

void file_read_at(const char *path, uint64_t off, void *buf, size_t len)
{
	int fd = file_open(path, O_RDONLY);

	CHECK(pread(fd, buf, len, (off_t)off) == (ssize_t)len, "%s", path);
	close(fd);
}

uint64_t file_size(const char *path)
{
	struct stat st;

	CHECK(!stat(path, &st), "%s", path);
	return (uint64_t)st.st_size;
}

uint64_t file_hash(const char *path)
{
	uint64_t hash = 0xcbf29ce484222325ull, buf[512];
	int fd = file_open(path, O_RDONLY);
	ssize_t n, i;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		memset((char *)buf + n, 0, sizeof(buf) - (size_t)n);
		for (i = 0; i < (n + 7) / 8; i++)
			hash = (hash ^ buf[i]) * 0x100000001b3ull + (hash >> 29);
		hash += (uint64_t)n;
	}
	CHECK(n == 0);
	close(fd);
	return hash;
}
