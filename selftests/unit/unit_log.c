// SPDX-License-Identifier: GPL-2.0-or-later
/* See unit_log.h. */
#include "unit_log.h"

#include <stdio.h>
#include <string.h>

#include "../../virtio-backends/util/log.h"

char test_log[512];
unsigned int test_log_lines;

static void catch_line(const char *line)
{
	snprintf(test_log, sizeof(test_log), "%s", line);
	test_log_lines++;
}

void test_catch_log(void)
{
	test_log[0] = 0;
	test_log_lines = 0;
	hv_log_set_sink(catch_line);
}

bool test_log_has(const char *text)
{
	if (strstr(test_log, text))
		return true;
	printf("# the log says \"%s\"\n", test_log);
	return false;
}
