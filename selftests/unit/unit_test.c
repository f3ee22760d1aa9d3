// SPDX-License-Identifier: GPL-2.0-or-later
/* See unit_test.h. */
#include "unit_test.h"

unsigned int test_failures, test_failed;

void test_begin(void)
{
	test_failures = 0;
}

void test_end(const char *name)
{
	printf("%s %s\n", test_failures ? "not ok" : "ok", name);
	fflush(stdout);
	test_failed += test_failures != 0;
}
