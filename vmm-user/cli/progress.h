/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_CLI_PROGRESS_H
#define HVM_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How far long work is, on one line of a terminal that is written again and again. Where standard
 * output is no terminal nothing is shown.
 *
 *	struct hvm_progress p;
 *	hvm_progress_begin(&p, "saving web");
 *	while (...)
 *		hvm_progress_show(&p, done, total);
 *	hvm_progress_end(&p);
 */
struct hvm_progress {
	const char *what;	/* the caller's */
	bool terminal, shown;
	uint64_t start_ms, last_ms;
};

void hvm_progress_begin(struct hvm_progress *p, const char *what);
/* @done of @total bytes; @total 0: unknown. As often as you like: it draws ten times a second. */
void hvm_progress_show(struct hvm_progress *p, uint64_t done, uint64_t total);
/* Take the line away. Whoever prints something does this first. */
void hvm_progress_end(struct hvm_progress *p);

/* The line, without control characters, in at most @columns. */
void hvm_progress_line(char *buf, size_t len, const char *what, uint64_t done, uint64_t total,
		       uint64_t elapsed_ms, unsigned int columns);

#endif
