/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_JSON_H
#define HVM_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As much JSON (RFC 8259) as lines of the control protocol need. */

/* Writing: into a buffer of fixed size; full is set if it did not fit. */
struct json_out {
	char *buf;
	size_t len, cap;
	bool full;
	bool comma;		/* something precedes in this object or array */
};

void json_out_init(struct json_out *o, char *buf, size_t cap);
/* @key may be NULL inside an array, and for the outermost value. */
void json_open(struct json_out *o, const char *key, char bracket);	/* '{' or '[' */
void json_close(struct json_out *o, char bracket);			/* '}' or ']' */
void json_string(struct json_out *o, const char *key, const char *value);
void json_u64(struct json_out *o, const char *key, uint64_t value);
void json_bool(struct json_out *o, const char *key, bool value);

/*
 * Reading: members of the object @text, which is not trusted. All return 0, -ENOENT (no such
 * member), -EINVAL (malformed, or of another type) or -E2BIG (a string that does not fit).
 */
int json_get_string(const char *text, const char *key, char *value, size_t cap);
int json_get_u64(const char *text, const char *key, uint64_t *value);
/* Where the value of @key begins, to be read as an object of its own. */
int json_get(const char *text, const char *key, const char **value);

#endif
