// SPDX-License-Identifier: GPL-2.0-or-later
/* Compressed clusters: read only; overwriting one allocates a normal cluster. */
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "qcow2.h"

#define ZLIB_WINDOW_BITS	(-12)	/* raw deflate, 4 KiB window */

/*
 * Entry: offset in the low bits, above it the number of further 512 byte sectors it reaches into.
 */
void qcow2_compressed_extent(const struct qcow2 *q, uint64_t entry, uint64_t *host, uint64_t *len)
{
	unsigned int shift = 62 - (q->cluster_bits - 8);
	uint64_t sectors = ((entry >> shift) & ((1ull << (q->cluster_bits - 8)) - 1)) + 1;

	*host = entry & ((1ull << shift) - 1);
	*len = sectors * QCOW2_COMPRESSED_SECTOR - (*host & (QCOW2_COMPRESSED_SECTOR - 1));
}

/* The stream ends when the cluster is full; what follows in the last sector is not ours. */
static int decompress_zlib(uint8_t *out, size_t out_len, const uint8_t *in, size_t in_len)
{
	z_stream z = {
		.next_in = (Bytef *)(uintptr_t)in,
		.avail_in = (uInt)in_len,
		.next_out = out,
		.avail_out = (uInt)out_len,
	};
	int ret;

	ret = inflateInit2(&z, ZLIB_WINDOW_BITS);
	if (ret != Z_OK)
		return -ENOMEM;
	ret = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	return (ret == Z_STREAM_END || ret == Z_BUF_ERROR) && !z.avail_out ? 0 : -EIO;
}

static int decompress_zstd(uint8_t *out, size_t out_len, const uint8_t *in, size_t in_len)
{
	ZSTD_inBuffer ib = { .src = in, .size = in_len };
	ZSTD_outBuffer ob = { .dst = out, .size = out_len };
	ZSTD_DCtx *ctx = ZSTD_createDCtx();
	size_t before, ret;

	if (!ctx)
		return -ENOMEM;
	while (ob.pos < ob.size) {
		before = ib.pos + ob.pos;
		ret = ZSTD_decompressStream(ctx, &ob, &ib);
		if (ZSTD_isError(ret) || ib.pos + ob.pos == before)
			break;
	}
	ZSTD_freeDCtx(ctx);
	return ob.pos == ob.size ? 0 : -EIO;
}

/* Under comp_lock: the cluster of @entry in comp_data. */
static int decompress(struct qcow2 *q, uint64_t entry)
{
	uint64_t host, len, end = atomic_load(&q->limit);
	uint8_t *in;
	int ret;

	qcow2_compressed_extent(q, entry, &host, &len);
	if (host >= end)
		return -EIO;
	/* The last sector may be cut off by the end of the file. */
	if (len > end - host)
		len = end - host;
	if (!q->comp_data)
		q->comp_data = malloc(q->cluster_size);
	if (q->comp_in_size < len) {
		in = realloc(q->comp_in, len);
		if (!in)
			return -ENOMEM;
		q->comp_in = in;
		q->comp_in_size = len;
	}
	if (!q->comp_data)
		return -ENOMEM;
	q->comp_entry = 0;
	ret = blk_file_pread(&q->img.file, q->comp_in, len, host);
	if (ret)
		return ret;
	if (q->compression == QCOW2_COMPRESSION_ZSTD)
		ret = decompress_zstd(q->comp_data, q->cluster_size, q->comp_in, len);
	else
		ret = decompress_zlib(q->comp_data, q->cluster_size, q->comp_in, len);
	if (!ret)
		q->comp_entry = entry;
	return ret;
}

int qcow2_read_compressed(struct blk_image *img, uint64_t entry, uint64_t off,
			  const struct iovec *iov, int iovcnt, uint64_t iov_off, uint64_t len)
{
	struct qcow2 *q = to_qcow2(img);
	int ret = 0;

	pthread_mutex_lock(&q->comp_lock);
	/* Small reads of one cluster come one after the other. */
	if (q->comp_entry != entry)
		ret = decompress(q, entry);
	if (!ret)
		blk_iov_from_buf(iov, iovcnt, iov_off,
				 q->comp_data + (off & (q->cluster_size - 1)), len);
	pthread_mutex_unlock(&q->comp_lock);
	return ret;
}
