/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_BLOCK_UTIL_H
#define HV_BLOCK_UTIL_H

#include "../../virtio-backends/block/block_int.h"

/*
 * Helpers of the block layer's tests. A failure prints what and where, and ends the test program.
 */

#define CHECK(cond, ...) \
	do { \
		if (!(cond)) \
			test_fail(__FILE__, __LINE__, #cond, " " __VA_ARGS__); \
	} while (0)

__attribute__((noreturn, format(printf, 4, 5)))
void test_fail(const char *file, int line, const char *cond, const char *fmt, ...);

/* One line per test: its name, then "ok" when it returns. */
struct test {
	const char *name;
	void (*fn)(void);
};
/* Runs all, or those whose names contain an argument; in a directory of its own, removed after. */
int test_main(int argc, char **argv, const struct test *tests, size_t n);

/* Run a command; its output goes to the file "out" and is shown when the command fails. */
__attribute__((format(printf, 1, 2)))
void run(const char *fmt, ...);
/* The same, but returns the exit status. */
__attribute__((format(printf, 1, 2)))
int run_status(const char *fmt, ...);
/* qemu-img check finds neither errors nor (unless @leaks_ok) leaks. */
void check_clean(const char *image, bool leaks_ok);

/* A queue with a loop, driven by the caller. */
struct test_queue {
	struct hv_loop *loop;
	struct blk_queue *q;
};

struct blk_image *test_open(const char *path, enum blk_format format, bool readonly);
void tq_open(struct test_queue *tq, struct blk_image *img);
void tq_close(struct test_queue *tq);
/* Submit and wait. */
int tq_rw(struct test_queue *tq, enum blk_op op, uint64_t off, void *buf, uint64_t len,
	  uint32_t flags);
int tq_flush(struct test_queue *tq);

/* A small generator with a known sequence. */
struct rnd {
	uint64_t s;
};
uint64_t rnd_next(struct rnd *r);
uint64_t rnd_below(struct rnd *r, uint64_t n);
void rnd_fill(struct rnd *r, void *buf, size_t len);

void file_write_at(const char *path, uint64_t off, const void *buf, size_t len);
void file_read_at(const char *path, uint64_t off, void *buf, size_t len);
uint64_t file_size(const char *path);
/* Checksum of all of it: to see that nothing was written. */
uint64_t file_hash(const char *path);

#endif
