/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UNIT_TEST_H
#define UNIT_TEST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * A test is a function. TEST_RUN() prints "ok NAME" or "not ok NAME" after what failed in it, and
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

/* Integers, in whatever type. */
#define CHECK_EQ(got, want) do {							\
	unsigned long long got_ = (unsigned long long)(got);				\
	unsigned long long want_ = (unsigned long long)(want);				\
	if (got_ != want_) {								\
		printf("# %s:%d: %s is %lld (0x%llx), not %lld (0x%llx)\n", __FILE__,	\
		       __LINE__, #got, got_, got_, want_, want_);			\
		test_failures++;							\
	}										\
} while (0)

#define CHECK_STR(got, want) do {							\
	const char *got_ = (got), *want_ = (want);					\
	if (strcmp(got_, want_)) {							\
		printf("# %s:%d: %s is \"%s\", not \"%s\"\n", __FILE__, __LINE__, #got,	\
		       got_, want_);							\
		test_failures++;							\
	}										\
} while (0)

/* Wait until @cond holds, or about five seconds; it is evaluated once more at the end. */
#define WAIT_FOR(cond) do {								\
	for (int wait_ = 0; wait_ < 50000 && !(cond); wait_++)				\
		usleep(100);								\
	CHECK(cond);									\
} while (0)

#define TEST_RUN(fn) do {								\
	test_begin();									\
	fn();										\
	test_end(#fn);									\
} while (0)

#define TEST_EXIT() (test_failed ? 1 : 0)

/* What TEST_RUN() is made of, for tests that come from a table. */
void test_begin(void);
void test_end(const char *name);

#endif
