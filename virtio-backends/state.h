/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_STATE_H
#define HV_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"

/*
 * Saved state: a sequence of tagged sections, each with its name, version, length and checksum.
 * Values are little-endian and packed. Writing collects the first error (only -ENOMEM), so that
 * savers need not check every step; reading likewise.
 *
 *	hv_state_begin(w, "virtio-blk", 1);
 *	hv_state_put_u64(w, x);
 *	hv_state_end(w);
 *
 *	hv_state_open(r, "virtio-blk", 1, err)	-> version found (1..max) or -errno
 *	x = hv_state_get_u64(r);
 *	hv_state_close(r, err)			-> 0, or -EBADMSG: section too short or long
 */
#define HV_STATE_NAME_LEN 32

/* A reader that does not know the section skips it. Unknown sections without it are refused. */
#define HV_STATE_OPTIONAL	(1u << 0)
/* What follows is large and has a checksum elsewhere; Documentation/state.rst. */
#define HV_STATE_BULK		(1u << 1)

/* Before each section, as it is in the stream. */
struct hv_state_header {
	uint32_t magic;
	uint16_t version;
	uint16_t flags;
	char name[HV_STATE_NAME_LEN];	/* NUL-padded, at least one NUL */
	uint64_t len;			/* of what follows */
	uint32_t crc;			/* zlib's crc32 of what follows */
	uint32_t header_crc;		/* of all before this field */
};

struct hv_state_writer {
	uint8_t *buf;
	size_t len, cap;
	size_t section;		/* offset of the open section's header, or SIZE_MAX */
	int error;
};

struct hv_state_reader {
	const uint8_t *buf;
	size_t len, pos;
	size_t end;		/* of the open section */
	bool open;
	bool short_read;
	char name[HV_STATE_NAME_LEN];
};

void hv_state_writer_init(struct hv_state_writer *w);
void hv_state_writer_free(struct hv_state_writer *w);
void hv_state_begin(struct hv_state_writer *w, const char *name, uint16_t version);
void hv_state_put(struct hv_state_writer *w, const void *data, size_t len);
void hv_state_put_u8(struct hv_state_writer *w, uint8_t v);
void hv_state_put_u16(struct hv_state_writer *w, uint16_t v);
void hv_state_put_u32(struct hv_state_writer *w, uint32_t v);
void hv_state_put_u64(struct hv_state_writer *w, uint64_t v);
/* A length and the bytes; NULL is the empty string. */
void hv_state_put_str(struct hv_state_writer *w, const char *s);
/* Returns 0 or the first error since init. */
int hv_state_end(struct hv_state_writer *w);

void hv_state_reader_init(struct hv_state_reader *r, const void *buf, size_t len);
/*
 * Open the next section, which must be called @name and have a version of 1..@max_version; optional
 * ones before it are skipped. Returns the version; -ENOENT another section or the end comes next,
 * -ENOTSUP version too new, -EBADMSG damaged.
 */
int hv_state_open(struct hv_state_reader *r, const char *name, uint32_t max_version,
		  struct hv_err *err);
/* Past the end of the section these give zeroes, and hv_state_close() reports it. */
void hv_state_get(struct hv_state_reader *r, void *data, size_t len);
uint8_t hv_state_get_u8(struct hv_state_reader *r);
uint16_t hv_state_get_u16(struct hv_state_reader *r);
uint32_t hv_state_get_u32(struct hv_state_reader *r);
uint64_t hv_state_get_u64(struct hv_state_reader *r);
/* Allocated; NULL: damaged, longer than @max bytes, or no memory. */
char *hv_state_get_str(struct hv_state_reader *r, size_t max);
int hv_state_close(struct hv_state_reader *r, struct hv_err *err);

/*
 * For what writes and reads streams piece by piece. The header of a section whose contents have
 * @len bytes and the checksum @crc; is this the header of a section?
 */
void hv_state_fill_header(struct hv_state_header *h, const char *name, uint16_t version,
			  uint16_t flags, uint64_t len, uint32_t crc);
bool hv_state_header_ok(const struct hv_state_header *h);
/* Go on with @crc, 0 at first. */
uint32_t hv_state_crc(uint32_t crc, const void *buf, size_t len);

#endif
