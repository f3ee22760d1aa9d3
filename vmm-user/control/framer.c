// SPDX-License-Identifier: GPL-2.0-or-later
/* The objects of a stream; see framer.h. */
#include "framer.h"

static enum qmp_frame bad(struct qmp_framer *f, unsigned char c)
{
	*f = (struct qmp_framer){ .skip = c != '\n' };
	return QMP_FRAME_BAD;
}

void qmp_framer_drop(struct qmp_framer *f)
{
	*f = (struct qmp_framer){ .skip = true };
}

static enum qmp_frame feed_string(struct qmp_framer *f, unsigned char c)
{
	if (c < ' ')
		return bad(f, c);
	if (f->escaped)
		f->escaped = false;
	else if (c == '\\')
		f->escaped = true;
	else if (c == '"')
		f->string = false;
	return QMP_FRAME_MORE;
}

static bool is_space(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Outside of an object only one can begin. */
static enum qmp_frame feed_between(struct qmp_framer *f, unsigned char c)
{
	if (c == '{')
		f->depth = 1;
	else if (!is_space(c))
		return bad(f, c);
	return QMP_FRAME_MORE;
}

/* The two kinds of brackets are not told apart: the parser does that when all is there. */
static enum qmp_frame feed_object(struct qmp_framer *f, unsigned char c)
{
	switch (c) {
	case '"':
		f->string = true;
		break;
	case '{':
	case '[':
		if (++f->depth > QMP_MAX_NESTING)
			return bad(f, c);
		break;
	case '}':
	case ']':
		if (!--f->depth)
			return QMP_FRAME_OBJECT;
		break;
	default:
		/* No text has these; one that is stuck in an open object can get out with them. */
		if ((c < ' ' && !is_space(c)) || c >= 0x7f)
			return bad(f, c);
	}
	return QMP_FRAME_MORE;
}

enum qmp_frame qmp_framer_feed(struct qmp_framer *f, unsigned char c)
{
	if (f->skip) {
		f->skip = c != '\n';
		return QMP_FRAME_MORE;
	}
	if (f->string)
		return feed_string(f, c);
	return f->depth ? feed_object(f, c) : feed_between(f, c);
}
