// SPDX-License-Identifier: GPL-2.0-or-later
/* Saved state as a sequence of sections; see state.h. */
#include "state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define STATE_MAGIC	0x53657648u	/* "HveS" */

_Static_assert(sizeof(struct hv_state_header) == 56, "on the wire");
_Static_assert(offsetof(struct hv_state_header, header_crc) == 52, "on the wire");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the stream is little-endian");

uint32_t hv_state_crc(uint32_t crc, const void *buf, size_t len)
{
	return (uint32_t)crc32_z(crc, buf, len);
}

void hv_state_fill_header(struct hv_state_header *h, const char *name, uint16_t version,
			  uint16_t flags, uint64_t len, uint32_t crc)
{
	*h = (struct hv_state_header){
		.magic = STATE_MAGIC, .version = version, .flags = flags, .len = len, .crc = crc,
	};
	memcpy(h->name, name, strnlen(name, sizeof(h->name) - 1));
	h->header_crc = hv_state_crc(0, h, offsetof(struct hv_state_header, header_crc));
}

bool hv_state_header_ok(const struct hv_state_header *h)
{
	return h->magic == STATE_MAGIC && !h->name[sizeof(h->name) - 1] &&
	       !(h->flags & ~(HV_STATE_OPTIONAL | HV_STATE_BULK)) &&
	       h->header_crc == hv_state_crc(0, h, offsetof(struct hv_state_header, header_crc));
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

void hv_state_begin(struct hv_state_writer *w, const char *name, uint16_t version)
{
	struct hv_state_header h;
	size_t at = w->len;

	hv_state_fill_header(&h, name, version, 0, 0, 0);
	hv_state_put(w, &h, sizeof(h));
	w->section = at;
}

int hv_state_end(struct hv_state_writer *w)
{
	struct hv_state_header old, h;
	uint64_t len;

	if (w->error)
		return w->error;
	memcpy(&old, w->buf + w->section, sizeof(old));
	len = w->len - w->section - sizeof(h);
	hv_state_fill_header(&h, old.name, old.version, old.flags, len,
			     hv_state_crc(0, w->buf + w->section + sizeof(h), len));
	memcpy(w->buf + w->section, &h, sizeof(h));
	w->section = SIZE_MAX;
	return 0;
}

void hv_state_put_str(struct hv_state_writer *w, const char *s)
{
	size_t len = s ? strlen(s) : 0;

	hv_state_put_u32(w, (uint32_t)len);
	hv_state_put(w, s, len);
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

/* The next section's header, checked together with its contents; r->pos stays. */
static int state_peek(const struct hv_state_reader *r, const char *wanted,
		      struct hv_state_header *h, struct hv_err *err)
{
	size_t left = r->len - r->pos;

	if (!left)
		return hv_err_set(err, -ENOENT, "state ends where section '%s' should be", wanted);
	if (left < sizeof(*h))
		return hv_err_set(err, -EBADMSG, "state is cut off before section '%s'", wanted);
	memcpy(h, r->buf + r->pos, sizeof(*h));
	if (!hv_state_header_ok(h))
		return hv_err_set(err, -EBADMSG, "state is damaged before section '%s'", wanted);
	left -= sizeof(*h);
	if (h->len > left || h->crc != hv_state_crc(0, r->buf + r->pos + sizeof(*h), h->len))
		return hv_err_set(err, -EBADMSG, "state section '%s' is damaged", h->name);
	return 0;
}

int hv_state_open(struct hv_state_reader *r, const char *name, uint32_t max_version,
		  struct hv_err *err)
{
	struct hv_state_header h;
	int ret = state_peek(r, name, &h, err);

	while (!ret && strcmp(h.name, name) && (h.flags & HV_STATE_OPTIONAL)) {
		r->pos += sizeof(h) + h.len;
		ret = state_peek(r, name, &h, err);
	}
	if (ret)
		return ret;
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

char *hv_state_get_str(struct hv_state_reader *r, size_t max)
{
	size_t len = hv_state_get_u32(r);
	char *s;

	if (r->short_read || len > max || len > r->end - r->pos)
		return NULL;
	s = malloc(len + 1);
	if (!s)
		return NULL;
	hv_state_get(r, s, len);
	s[len] = '\0';
	return s;
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
