// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writing the stream of a machine; see stream.h. Runs in a child of a process with many threads:
 * system calls and memory that is there only.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "stream.h"
#include "stream_defs.h"

#define PAGE	HVM_STREAM_ALIGN

struct out {
	const struct hvm_stream_out *cfg;
	uint64_t pos;
	uint32_t crc;	/* of all headers so far */
};

static int out_pwrite(struct out *o, const void *buf, size_t len, uint64_t at)
{
	while (len) {
		ssize_t n = pwrite(o->cfg->fd, buf, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		buf = (const char *)buf + n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

static int out_put(struct out *o, const void *buf, size_t len)
{
	int ret = out_pwrite(o, buf, len, o->pos);

	o->pos += len;
	return ret;
}

static int out_header(struct out *o, const char *name, uint16_t version, uint16_t flags,
		      uint64_t len, uint32_t crc)
{
	struct hv_state_header h;

	hv_state_fill_header(&h, name, version, flags, len, crc);
	o->crc = hv_state_crc(o->crc, &h, sizeof(h));
	return out_put(o, &h, sizeof(h));
}

static int out_section(struct out *o, const char *name, uint16_t version, uint16_t flags,
		       const void *buf, size_t len)
{
	int ret = out_header(o, name, version, flags, len, hv_state_crc(0, buf, len));

	return ret ? ret : out_put(o, buf, len);
}

/* The sections that are ready, whose headers count as all others. */
static int out_head(struct out *o)
{
	const uint8_t *p = o->cfg->head, *end = p + o->cfg->head_len;
	struct hv_state_header h;

	while (p < end) {
		memcpy(&h, p, sizeof(h));
		o->crc = hv_state_crc(o->crc, &h, sizeof(h));
		p += sizeof(h) + h.len;
	}
	return out_put(o, o->cfg->head, o->cfg->head_len);
}

/* So that what comes after the next header begins a page. */
static int out_align(struct out *o)
{
	static const uint8_t zeroes[PAGE];
	uint64_t at = o->pos + 2 * sizeof(struct hv_state_header);

	return out_section(o, STREAM_PAD, STREAM_PAD_VERSION, HV_STATE_OPTIONAL, zeroes,
			   -at & (PAGE - 1));
}

static bool is_zero(const uint8_t *p, size_t len)
{
	/* Each byte equals the one after it, and the first is zero. */
	return !*p && !memcmp(p, p + 1, len - 1);
}

/* Pages of zeroes are left out: a new file reads so where nothing was written. */
static int out_pages(struct out *o, const uint8_t *p, uint64_t at)
{
	size_t from = 0, to;
	int ret = 0;

	while (from < HVM_STREAM_CHUNK && !ret) {
		for (to = from; to < HVM_STREAM_CHUNK && !is_zero(p + to, PAGE); to += PAGE)
			;
		if (to > from)
			ret = out_pwrite(o, p + from, to - from, at + from);
		from = to + PAGE;
	}
	return ret;
}

static int out_chunk(struct out *o, uint64_t i, uint32_t zero_crc)
{
	const uint8_t *p = o->cfg->ram + i * HVM_STREAM_CHUNK;

	if (is_zero(p, HVM_STREAM_CHUNK)) {
		o->cfg->sums[i] = zero_crc;
		return 0;
	}
	o->cfg->sums[i] = hv_state_crc(0, p, HVM_STREAM_CHUNK);
	return out_pages(o, p, o->pos + i * HVM_STREAM_CHUNK);
}

static uint32_t crc_of_zeroes(void)
{
	static const uint8_t zeroes[PAGE];
	uint32_t crc = 0;

	for (size_t n = 0; n < HVM_STREAM_CHUNK; n += PAGE)
		crc = hv_state_crc(crc, zeroes, PAGE);
	return crc;
}

static int out_ram(struct out *o)
{
	const struct hvm_stream_out *cfg = o->cfg;
	uint64_t n = cfg->ram_len / HVM_STREAM_CHUNK;
	uint32_t zero_crc = crc_of_zeroes();
	int ret = out_header(o, STREAM_RAM, STREAM_RAM_VERSION, HV_STATE_BULK, cfg->ram_len, 0);

	for (uint64_t i = 0; i < n && !ret; i++) {
		ret = out_chunk(o, i, zero_crc);
		if (!ret && cfg->progress)
			cfg->progress(cfg->opaque, (i + 1) * HVM_STREAM_CHUNK);
	}
	o->pos += cfg->ram_len;
	if (!ret)
		ret = out_section(o, STREAM_SUMS, STREAM_SUMS_VERSION, 0, cfg->sums,
				  n * sizeof(cfg->sums[0]));
	return ret;
}

int hvm_stream_write(const struct hvm_stream_out *cfg)
{
	struct out o = { .cfg = cfg };
	uint32_t crc;
	int ret = out_head(&o);

	if (!ret)
		ret = out_align(&o);
	if (!ret)
		ret = out_ram(&o);
	crc = o.crc;
	if (!ret)
		ret = out_section(&o, STREAM_END, STREAM_END_VERSION, 0, &crc, sizeof(crc));
	if (!ret && fsync(cfg->fd))
		ret = -errno;
	return ret;
}
