/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_UTIL_ERR_H
#define HV_UTIL_ERR_H

#include <stdarg.h>
#include <stddef.h>

/*
 * An error with its one-line message. Library code fills it in and returns -errno; only main()
 * prints it and exits. The message says what happened, to what, and what to do about it; it has
 * no trailing newline.
 */
struct hv_err {
	int code;	/* the -errno that goes with msg, 0 when nothing was reported */
	char msg[256];
};

/* Format a message into @err (which may be NULL) and return @code, which must be negative. */
__attribute__((format(printf, 3, 4)))
int hv_err_set(struct hv_err *err, int code, const char *fmt, ...);

/* Put "prefix: " before the message already in @err; returns err->code. */
__attribute__((format(printf, 2, 3)))
int hv_err_prefix(struct hv_err *err, const char *fmt, ...);

#endif
