/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_CONTROL_FRAMER_H
#define HVM_CONTROL_FRAMER_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Where one JSON object of a stream ends and the next begins. Objects need no newline between them,
 * and may have newlines inside, so that any QMP client's habits will do. Garbage costs no more than
 * the line that it is on.
 */
#define QMP_MAX_REQUEST	(64u << 10)	/* bytes of an object */
#define QMP_MAX_NESTING	256

enum qmp_frame {
	QMP_FRAME_MORE,		/* not complete yet */
	QMP_FRAME_OBJECT,	/* an object is complete: it ends before the next byte */
	QMP_FRAME_BAD,		/* what came last is none; the rest of its line will be skipped */
};

struct qmp_framer {
	unsigned int depth;	/* brackets that are open; 0: between objects */
	bool string, escaped;
	bool skip;		/* to the end of the line */
};

/* One more byte. After OBJECT and BAD the framer is ready for the next object. */
enum qmp_frame qmp_framer_feed(struct qmp_framer *f, unsigned char c);
/* The object is too long: drop it. */
void qmp_framer_drop(struct qmp_framer *f);

#endif
