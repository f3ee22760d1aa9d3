// SPDX-License-Identifier: GPL-2.0-or-later
/* JSON; see json.h. */
#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH	16

/* ---- Writing ---- */

void json_out_init(struct json_out *o, char *buf, size_t cap)
{
	*o = (struct json_out){ .buf = buf, .cap = cap };
	if (cap)
		buf[0] = '\0';
}

static void out_bytes(struct json_out *o, const char *p, size_t len)
{
	if (o->full || len >= o->cap - o->len) {
		o->full = true;
		return;
	}
	memcpy(o->buf + o->len, p, len);
	o->len += len;
	o->buf[o->len] = '\0';
}

static void out_quoted(struct json_out *o, const char *s)
{
	out_bytes(o, "\"", 1);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		char esc[8] = { '\\', (char)c };

		if (c == '"' || c == '\\') {
			out_bytes(o, esc, 2);
		} else if (c < 0x20) {
			snprintf(esc, sizeof(esc), "\\u%04x", c);
			out_bytes(o, esc, strlen(esc));
		} else {
			out_bytes(o, s, 1);
		}
	}
	out_bytes(o, "\"", 1);
}

static void out_begin(struct json_out *o, const char *key)
{
	if (o->comma)
		out_bytes(o, ", ", 2);
	o->comma = true;
	if (!key)
		return;
	out_quoted(o, key);
	out_bytes(o, ": ", 2);
}

void json_open(struct json_out *o, const char *key, char bracket)
{
	out_begin(o, key);
	out_bytes(o, &bracket, 1);
	o->comma = false;
}

void json_close(struct json_out *o, char bracket)
{
	out_bytes(o, &bracket, 1);
	o->comma = true;
}

void json_string(struct json_out *o, const char *key, const char *value)
{
	out_begin(o, key);
	out_quoted(o, value);
}

void json_u64(struct json_out *o, const char *key, uint64_t value)
{
	char num[24];

	out_begin(o, key);
	snprintf(num, sizeof(num), "%" PRIu64, value);
	out_bytes(o, num, strlen(num));
}

void json_bool(struct json_out *o, const char *key, bool value)
{
	out_begin(o, key);
	out_bytes(o, value ? "true" : "false", value ? 4 : 5);
}

/* ---- Reading: each function takes the text at a token and returns what follows it, or NULL - */

static const char *skip_space(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

static int hex4(const char *p)
{
	int v = 0;

	for (int i = 0; i < 4; i++) {
		const char *digits = "0123456789abcdef", *d;
		char c = p[i] >= 'A' && p[i] <= 'F' ? (char)(p[i] + 'a' - 'A') : p[i];

		d = c ? strchr(digits, c) : NULL;
		if (!d)
			return -1;
		v = v * 16 + (int)(d - digits);
	}
	return v;
}

/*
 * A string; its value goes to @out unless that is NULL. Escapes above 0x7f become '?': names and
 * commands of the protocol are ASCII. *@fits tells whether it fitted.
 */
static const char *read_string(const char *p, char *out, size_t cap, bool *fits)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	size_t n = 0;

	*fits = true;
	if (*p++ != '"')
		return NULL;
	for (; *p != '"'; p++) {
		char c = *p;

		if ((unsigned char)c < 0x20)
			return NULL;	/* also the end of the text */
		if (c == '\\' && p[1] == 'u') {
			int v = hex4(p + 2);

			if (v < 0)
				return NULL;
			c = v && v < 0x80 ? (char)v : '?';
			p += 5;
		} else if (c == '\\') {
			const char *e = *++p ? strchr(from, *p) : NULL;

			if (!e)
				return NULL;
			c = to[e - from];
		}
		if (out && n + 1 < cap)
			out[n++] = c;
		else if (out)
			*fits = false;
	}
	if (out && cap)
		out[n] = '\0';
	return p + 1;
}

static const char *skip_value(const char *p, int depth);

static const char *skip_members(const char *p, bool object, int depth)
{
	char end = object ? '}' : ']';
	bool fits;

	p = skip_space(p + 1);
	if (*p == end)
		return p + 1;
	for (;;) {
		if (object) {
			p = read_string(skip_space(p), NULL, 0, &fits);
			if (!p || *(p = skip_space(p)) != ':')
				return NULL;
			p++;
		}
		p = skip_value(p, depth);
		if (!p)
			return NULL;
		p = skip_space(p);
		if (*p == end)
			return p + 1;
		if (*p++ != ',')
			return NULL;
	}
}

static const char *skip_value(const char *p, int depth)
{
	size_t n;
	bool fits;

	if (depth >= MAX_DEPTH)
		return NULL;
	p = skip_space(p);
	if (*p == '"')
		return read_string(p, NULL, 0, &fits);
	if (*p == '{' || *p == '[')
		return skip_members(p, *p == '{', depth + 1);
	n = strspn(p, "+-.0123456789abcdefghijklmnopqrstuvwxyzE");
	return n ? p + n : NULL;
}

int json_get(const char *text, const char *key, const char **value)
{
	const char *p = skip_space(text);
	char name[64];
	bool fits;

	if (*p != '{')
		return -EINVAL;
	p = skip_space(p + 1);
	if (*p == '}')
		return -ENOENT;
	for (;;) {
		p = read_string(skip_space(p), name, sizeof(name), &fits);
		if (!p || *(p = skip_space(p)) != ':')
			return -EINVAL;
		p = skip_space(p + 1);
		if (fits && !strcmp(name, key)) {
			*value = p;
			return skip_value(p, 0) ? 0 : -EINVAL;
		}
		p = skip_value(p, 0);
		if (!p)
			return -EINVAL;
		p = skip_space(p);
		if (*p == '}')
			return -ENOENT;
		if (*p++ != ',')
			return -EINVAL;
	}
}

int json_get_string(const char *text, const char *key, char *value, size_t cap)
{
	const char *p;
	bool fits;
	int ret = json_get(text, key, &p);

	if (ret)
		return ret;
	if (!read_string(p, value, cap, &fits))
		return -EINVAL;
	return fits ? 0 : -E2BIG;
}

int json_get_u64(const char *text, const char *key, uint64_t *value)
{
	const char *p;
	char *end;
	int ret = json_get(text, key, &p);

	if (ret)
		return ret;
	if (*p < '0' || *p > '9')
		return -EINVAL;
	errno = 0;
	*value = strtoull(p, &end, 10);
	return errno || *end == '.' || *end == 'e' || *end == 'E' ? -EINVAL : 0;
}
