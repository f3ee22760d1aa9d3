/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_TEST_H
#define HVM_TEST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Tests of hvm's parts: each is a function, of which a line "ok NAME" or "not ok NAME" tells. */
static unsigned int test_failures;	/* of the test that runs */
static unsigned int test_failed;	/* tests */

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

#define CHECK_STR(got, want) do {							\
	const char *got_ = (got), *want_ = (want);					\
	if (strcmp(got_, want_)) {							\
		printf("# %s:%d: %s is \"%s\", not \"%s\"\n", __FILE__, __LINE__, #got,	\
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

/* Wait until @cond holds, or about five seconds; it is evaluated once more at the end. */
#define WAIT_FOR(cond) do {								\
	for (int wait_ = 0; wait_ < 5000 && !(cond); wait_++)				\
		usleep(1000);								\
	CHECK(cond);									\
} while (0)

#endif
