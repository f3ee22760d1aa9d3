// SPDX-License-Identifier: GPL-2.0-or-later
/* Packets; see packet.h. */
#include "packet.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ESCAPE		'}'
#define ESCAPE_XOR	0x20
#define INTERRUPT	0x03

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static void begin(struct gdb_receiver *r)
{
	r->state = GDB_DATA;
	r->sum = 0;
	r->len = 0;
	r->too_long = false;
}

static void add(struct gdb_receiver *r, uint8_t c)
{
	if (r->len < GDB_PACKET_MAX)
		r->data[r->len++] = (char)c;
	else
		r->too_long = true;
}

static enum gdb_input receive_data(struct gdb_receiver *r, uint8_t c)
{
	if (c == '$') {
		begin(r);	/* the last one was cut */
	} else if (c == '#') {
		r->state = GDB_SUM1;
	} else if (r->state == GDB_ESCAPE) {
		r->sum += c;
		r->state = GDB_DATA;
		add(r, c ^ ESCAPE_XOR);
	} else {
		r->sum += c;
		if (c == ESCAPE)
			r->state = GDB_ESCAPE;
		else
			add(r, c);
	}
	return GDB_NOTHING;
}

static enum gdb_input receive_sum(struct gdb_receiver *r, uint8_t c)
{
	int digit = hex_digit(c);

	if (digit < 0) {
		r->state = GDB_IDLE;
		return GDB_BAD;
	}
	if (r->state == GDB_SUM1) {
		r->want = (uint8_t)(digit << 4);
		r->state = GDB_SUM2;
		return GDB_NOTHING;
	}
	r->state = GDB_IDLE;
	if ((r->want | digit) != r->sum || r->too_long)
		return GDB_BAD;
	r->data[r->len] = '\0';
	return GDB_PACKET;
}

enum gdb_input gdb_receive(struct gdb_receiver *r, uint8_t c)
{
	switch (r->state) {
	case GDB_DATA:
	case GDB_ESCAPE:
		return receive_data(r, c);
	case GDB_SUM1:
	case GDB_SUM2:
		return receive_sum(r, c);
	case GDB_IDLE:
		break;
	}
	if (c == '$')
		begin(r);
	/* All else between packets is acknowledgements, or nothing. */
	return c == INTERRUPT ? GDB_INTERRUPT : GDB_NOTHING;
}

/* ---- Replies ---- */

void gdb_reply_begin(struct gdb_reply *r)
{
	r->data[0] = '$';
	r->len = 1;
	r->full = false;
}

/* Room for the sum is kept. */
static bool has_room(struct gdb_reply *r, size_t len)
{
	if (len > sizeof(r->data) - 4 - r->len)
		r->full = true;
	return !r->full;
}

void gdb_reply_text(struct gdb_reply *r, const char *fmt, ...)
{
	char buf[256];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	if (n >= (int)sizeof(buf))
		n = sizeof(buf) - 1;
	if (n <= 0 || !has_room(r, (size_t)n))
		return;
	memcpy(r->data + r->len, buf, (size_t)n);
	r->len += (size_t)n;
}

void gdb_reply_hex(struct gdb_reply *r, const void *buf, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = buf;

	if (!has_room(r, 2 * len))
		return;
	for (; len; len--, p++) {
		r->data[r->len++] = digits[*p >> 4];
		r->data[r->len++] = digits[*p & 15];
	}
}

void gdb_reply_binary(struct gdb_reply *r, const void *buf, size_t len)
{
	const char *p = buf;

	for (; len && has_room(r, 2); len--, p++) {
		bool escape = memchr("#$}*", *p, 4);

		if (escape)
			r->data[r->len++] = ESCAPE;
		r->data[r->len++] = escape ? (char)(*p ^ ESCAPE_XOR) : *p;
	}
}

void gdb_reply_end(struct gdb_reply *r)
{
	uint8_t sum = 0;

	for (size_t i = 1; i < r->len; i++)
		sum += (uint8_t)r->data[i];
	snprintf(r->data + r->len, 4, "#%02x", sum);
	r->len += 3;
}

/* ---- Numbers ---- */

bool gdb_parse_hex(const char **s, uint64_t *v)
{
	const char *start = *s;
	int digit;

	for (*v = 0; (digit = hex_digit((uint8_t)**s)) >= 0; ++*s) {
		if (*v >> 60)
			return false;
		*v = *v << 4 | (uint64_t)digit;
	}
	return *s != start;
}

bool gdb_parse_bytes(const char *s, void *buf, size_t len)
{
	uint8_t *p = buf;

	for (; len; len--, s += 2) {
		int high = hex_digit((uint8_t)s[0]);
		int low = high < 0 ? -1 : hex_digit((uint8_t)s[1]);

		if (low < 0)
			return false;
		*p++ = (uint8_t)(high << 4 | low);
	}
	return true;
}
