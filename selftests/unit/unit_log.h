/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UNIT_LOG_H
#define UNIT_LOG_H

#include <stdbool.h>

/* The last line that went to hv_log() and their number, once test_catch_log() was called. */
extern char test_log[512];
extern unsigned int test_log_lines;
void test_catch_log(void);
bool test_log_has(const char *text);

#endif
