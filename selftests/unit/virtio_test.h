/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VIRTIO_TEST_H
#define VIRTIO_TEST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/*
 * A test is a function; TEST_RUN() prints "ok NAME" or "not ok NAME" after what failed in it, and
 * TEST_EXIT() gives main()'s status.
 */
extern unsigned int test_failures;	/* of the test that runs */
extern unsigned int test_failed;	/* tests */

#define CHECK(cond) do {								\
	if (!(cond)) {									\
		printf("# %s:%d: %s\n", __FILE__, __LINE__, #cond);			\
		test_failures++;							\
	}										\
} while (0)

#define CHECK_EQ(got, want) do {							\
	unsigned long long got_ = (unsigned long long)(got);				\
	unsigned long long want_ = (unsigned long long)(want);				\
	if (got_ != want_) {								\
		printf("# %s:%d: %s is 0x%llx, not 0x%llx\n", __FILE__, __LINE__, #got,	\
		       got_, want_);							\
		test_failures++;							\
	}										\
} while (0)

#define TEST_RUN(fn) do {								\
	test_failures = 0;								\
	fn();										\
	printf("%s %s\n", test_failures ? "not ok" : "ok", #fn);			\
	fflush(stdout);									\
	test_failed += test_failures != 0;						\
} while (0)

#define TEST_EXIT() (test_failed ? 1 : 0)

/* The last line that went to hv_log() and their number, once test_catch_log() was called. */
extern char test_log[512];
extern unsigned int test_log_lines;
void test_catch_log(void);
bool test_log_has(const char *text);

/* Wait until *@flag or about five seconds passed. */
bool test_wait_until(bool (*done)(void *opaque), void *opaque);

#endif
