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
void hv_state_begin(struct hv_state_writer *w, const char *name, uint32_t version);
void hv_state_put(struct hv_state_writer *w, const void *data, size_t len);
void hv_state_put_u8(struct hv_state_writer *w, uint8_t v);
void hv_state_put_u16(struct hv_state_writer *w, uint16_t v);
void hv_state_put_u32(struct hv_state_writer *w, uint32_t v);
void hv_state_put_u64(struct hv_state_writer *w, uint64_t v);
/* Returns 0 or the first error since init. */
int hv_state_end(struct hv_state_writer *w);

void hv_state_reader_init(struct hv_state_reader *r, const void *buf, size_t len);
/*
 * Open the next section, which must be called @name and have a version of 1..@max_version.
 * Returns the version; -ENOENT another section or the end comes next, -ENOTSUP version too new,
 * -EBADMSG damaged.
 */
int hv_state_open(struct hv_state_reader *r, const char *name, uint32_t max_version,
		  struct hv_err *err);
/* Past the end of the section these give zeroes, and hv_state_close() reports it. */
void hv_state_get(struct hv_state_reader *r, void *data, size_t len);
uint8_t hv_state_get_u8(struct hv_state_reader *r);
uint16_t hv_state_get_u16(struct hv_state_reader *r);
uint32_t hv_state_get_u32(struct hv_state_reader *r);
uint64_t hv_state_get_u64(struct hv_state_reader *r);
int hv_state_close(struct hv_state_reader *r, struct hv_err *err);

#endif
