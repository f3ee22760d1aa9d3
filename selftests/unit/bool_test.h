/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BOOL_TEST_H
#define BOOL_TEST_H

#include <stdbool.h>
#include <stdio.h>

/*
 * Tests that return whether they passed, and end with the first thing that is wrong: what follows
 * in them would only be wrong too, many thousand times.
 */
#define CHECK(cond)									\
	do {										\
		if (!(cond)) {								\
			printf("# %s:%d: %s\n", __FILE__, __LINE__, #cond);		\
			return false;							\
		}									\
	} while (0)

struct bool_test {
	const char *name;
	bool (*run)(void);
};

/* Print a test's line; 0 if it passed, else 1. */
static inline int bool_test_end(const char *name, bool ok)
{
	printf("%s %s\n", ok ? "ok" : "not ok", name);
	return !ok;
}

/* Run them; main()'s status. */
static inline int bool_tests_run(const struct bool_test *tests, unsigned int nr)
{
	int bad = 0;

	for (unsigned int i = 0; i < nr; i++)
		bad |= bool_test_end(tests[i].name, tests[i].run());
	return bad;
}

#endif
