// SPDX-License-Identifier: GPL-2.0-or-later
/* Saved state as a sequence of sections; see state.h. */
#include "state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define STATE_MAGIC	0x53657648u	/* "HveS" */

struct section_header {
	uint32_t magic;
	uint32_t version;
	char name[HV_STATE_NAME_LEN];	/* NUL-padded, at least one NUL */
	uint64_t len;			/* of what follows */
	uint32_t crc;			/* zlib's crc32 of what follows */
	uint32_t header_crc;		/* of all before this field */
};

_Static_assert(sizeof(struct section_header) == 56, "on the wire");
_Static_assert(offsetof(struct section_header, header_crc) == 52, "on the wire");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the stream is little-endian");

static uint32_t state_crc(const void *buf, size_t len)
{
	return (uint32_t)crc32_z(crc32_z(0, NULL, 0), buf, len);
}

void hv_state_writer_init(struct hv_state_writer *w)
{
	memset(w, 0, sizeof(*w));
	w->section = SIZE_MAX;
}

void hv_state_writer_free(struct hv_state_writer *w)
{
	free(w->buf);
	hv_state_writer_init(w);
}

void hv_state_put(struct hv_state_writer *w, const void *data, size_t len)
{
	if (w->error || !len)
		return;
	if (len > w->cap - w->len) {
		size_t cap = w->cap ? w->cap : 4096;
		uint8_t *buf;

		while (cap - w->len < len) {
			if (cap > SIZE_MAX / 2) {
				w->error = -ENOMEM;
				return;
			}
			cap *= 2;
		}
		buf = realloc(w->buf, cap);
		if (!buf) {
			w->error = -ENOMEM;
			return;
		}
		w->buf = buf;
		w->cap = cap;
	}
	memcpy(w->buf + w->len, data, len);
	w->len += len;
}

void hv_state_begin(struct hv_state_writer *w, const char *name, uint32_t version)
{
	struct section_header h = { .magic = STATE_MAGIC, .version = version };
	size_t at = w->len;

	memcpy(h.name, name, strnlen(name, sizeof(h.name) - 1));
	hv_state_put(w, &h, sizeof(h));
	w->section = at;
}

int hv_state_end(struct hv_state_writer *w)
{
	struct section_header h;

	if (w->error)
		return w->error;
	memcpy(&h, w->buf + w->section, sizeof(h));
	h.len = w->len - w->section - sizeof(h);
	h.crc = state_crc(w->buf + w->section + sizeof(h), h.len);
	h.header_crc = state_crc(&h, offsetof(struct section_header, header_crc));
	memcpy(w->buf + w->section, &h, sizeof(h));
	w->section = SIZE_MAX;
	return 0;
}

void hv_state_put_u8(struct hv_state_writer *w, uint8_t v)
{
	hv_state_put(w, &v, sizeof(v));
}

void hv_state_put_u16(struct hv_state_writer *w, uint16_t v)
{
	hv_state_put(w, &v, sizeof(v));
}

void hv_state_put_u32(struct hv_state_writer *w, uint32_t v)
{
	hv_state_put(w, &v, sizeof(v));
}

void hv_state_put_u64(struct hv_state_writer *w, uint64_t v)
{
	hv_state_put(w, &v, sizeof(v));
}

void hv_state_reader_init(struct hv_state_reader *r, const void *buf, size_t len)
{
	memset(r, 0, sizeof(*r));
	r->buf = buf;
	r->len = len;
}

int hv_state_open(struct hv_state_reader *r, const char *name, uint32_t max_version,
		  struct hv_err *err)
{
	size_t left = r->len - r->pos;
	struct section_header h;

	if (!left)
		return hv_err_set(err, -ENOENT, "state ends where section '%s' should be", name);
	if (left < sizeof(h))
		return hv_err_set(err, -EBADMSG, "state is cut off before section '%s'", name);
	memcpy(&h, r->buf + r->pos, sizeof(h));
	if (h.magic != STATE_MAGIC || h.name[sizeof(h.name) - 1] ||
	    h.header_crc != state_crc(&h, offsetof(struct section_header, header_crc)))
		return hv_err_set(err, -EBADMSG, "state is damaged before section '%s'", name);
	left -= sizeof(h);
	if (h.len > left || h.crc != state_crc(r->buf + r->pos + sizeof(h), h.len))
		return hv_err_set(err, -EBADMSG, "state section '%s' is damaged", h.name);
	if (strcmp(h.name, name))
		return hv_err_set(err, -ENOENT, "state has section '%s' where '%s' should be",
				  h.name, name);
	if (!h.version || h.version > max_version)
		return hv_err_set(err, -ENOTSUP, "state section '%s' has version %u, up to %u is known",
				  name, h.version, max_version);
	memcpy(r->name, h.name, sizeof(r->name));
	r->pos += sizeof(h);
	r->end = r->pos + h.len;
	r->open = true;
	r->short_read = false;
	return (int)h.version;
}

void hv_state_get(struct hv_state_reader *r, void *data, size_t len)
{
	if (!r->open || len > r->end - r->pos) {
		memset(data, 0, len);
		r->short_read = true;
		if (r->open)
			r->pos = r->end;
		return;
	}
	memcpy(data, r->buf + r->pos, len);
	r->pos += len;
}

uint8_t hv_state_get_u8(struct hv_state_reader *r)
{
	uint8_t v;

	hv_state_get(r, &v, sizeof(v));
	return v;
}

uint16_t hv_state_get_u16(struct hv_state_reader *r)
{
	uint16_t v;

	hv_state_get(r, &v, sizeof(v));
	return v;
}

uint32_t hv_state_get_u32(struct hv_state_reader *r)
{
	uint32_t v;

	hv_state_get(r, &v, sizeof(v));
	return v;
}

uint64_t hv_state_get_u64(struct hv_state_reader *r)
{
	uint64_t v;

	hv_state_get(r, &v, sizeof(v));
	return v;
}

int hv_state_close(struct hv_state_reader *r, struct hv_err *err)
{
	bool whole = r->open && !r->short_read && r->pos == r->end;

	if (r->open)
		r->pos = r->end;
	r->open = false;
	if (!whole)
		return hv_err_set(err, -EBADMSG, "state section '%s' has the wrong length", r->name);
	return 0;
}
