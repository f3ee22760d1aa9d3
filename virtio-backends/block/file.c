// SPDX-License-Identifier: GPL-2.0-or-later
/* Host files and block devices under disk images. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block_int.h"

#define ZERO_CHUNK	(64u << 10)
#define IOV_PER_CALL	1024		/* UIO_MAXIOV */

int blk_file_open(struct blk_file *f, const char *path, bool writable, struct hv_err *err)
{
	struct stat st;
	int ret;

	memset(f, 0, sizeof(*f));
	/* Not blocking: somebody may name a FIFO. */
	f->fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (f->fd < 0) {
		ret = -errno;
		return hv_err_set(err, ret, "%s: cannot open for %s: %s", path,
				  writable ? "writing" : "reading", strerror(-ret));
	}
	if (fstat(f->fd, &st)) {
		ret = hv_err_set(err, -errno, "%s: cannot stat: %s", path, strerror(errno));
		goto fail;
	}
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
		ret = hv_err_set(err, -EINVAL, "%s: neither a regular file nor a block device",
				 path);
		goto fail;
	}
	if (fcntl(f->fd, F_SETFL, 0)) {
		ret = hv_err_set(err, -errno, "%s: cannot set file flags: %s", path,
				 strerror(errno));
		goto fail;
	}
	f->path = strdup(path);
	if (!f->path) {
		ret = hv_err_set(err, -ENOMEM, "%s: out of memory", path);
		goto fail;
	}
	f->writable = writable;
	f->blockdev = S_ISBLK(st.st_mode);
	f->dev = f->blockdev ? st.st_rdev : st.st_dev;
	f->ino = f->blockdev ? 0 : st.st_ino;
	return 0;
fail:
	close(f->fd);
	f->fd = -1;
	return ret;
}

void blk_file_close(struct blk_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	free(f->path);
	f->fd = -1;
	f->path = NULL;
}

int64_t blk_file_size(const struct blk_file *f)
{
	struct stat st;
	uint64_t size;

	if (f->blockdev)
		return ioctl(f->fd, BLKGETSIZE64, &size) ? -errno : (int64_t)size;
	return fstat(f->fd, &st) ? -errno : st.st_size;
}

static int file_trace(struct blk_file *f, enum blk_file_op op, uint64_t off,
		      const struct iovec *iov, int iovcnt, uint64_t len)
{
	return f->trace ? f->trace(f->trace_opaque, op, off, iov, iovcnt, len) : 0;
}

int blk_file_preadv(struct blk_file *f, struct iovec *iov, int iovcnt, uint64_t off)
{
	ssize_t n;

	blk_iov_advance(&iov, &iovcnt, 0);
	while (iovcnt) {
		n = preadv(f->fd, iov, iovcnt < IOV_PER_CALL ? iovcnt : IOV_PER_CALL, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) {
			blk_iov_zero(iov, iovcnt, 0, blk_iov_len(iov, iovcnt));
			return 0;
		}
		off += (uint64_t)n;
		blk_iov_advance(&iov, &iovcnt, (uint64_t)n);
	}
	return 0;
}

int blk_file_pwritev(struct blk_file *f, struct iovec *iov, int iovcnt, uint64_t off)
{
	ssize_t n;
	int ret;

	ret = file_trace(f, BLK_FILE_WRITE, off, iov, iovcnt, blk_iov_len(iov, iovcnt));
	if (ret)
		return ret;
	blk_iov_advance(&iov, &iovcnt, 0);
	while (iovcnt) {
		n = pwritev(f->fd, iov, iovcnt < IOV_PER_CALL ? iovcnt : IOV_PER_CALL, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		off += (uint64_t)n;
		blk_iov_advance(&iov, &iovcnt, (uint64_t)n);
	}
	return 0;
}

int blk_file_pread(struct blk_file *f, void *buf, size_t len, uint64_t off)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };

	return blk_file_preadv(f, &iov, 1, off);
}

int blk_file_pwrite(struct blk_file *f, const void *buf, size_t len, uint64_t off)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = len };

	return blk_file_pwritev(f, &iov, 1, off);
}

int blk_file_sync_result(struct blk_file *f, int ret)
{
	if (ret == -EIO)
		__atomic_store_n(&f->sync_failed, 1, __ATOMIC_RELAXED);
	return __atomic_load_n(&f->sync_failed, __ATOMIC_RELAXED) ? -EIO : ret;
}

int blk_file_sync(struct blk_file *f)
{
	int ret;

	ret = file_trace(f, BLK_FILE_SYNC_BEGIN, 0, NULL, 0, 0);
	if (ret)
		return ret;
	do {
		ret = fdatasync(f->fd) ? -errno : 0;
	} while (ret == -EINTR);
	if (!ret)
		file_trace(f, BLK_FILE_SYNC, 0, NULL, 0, 0);
	return blk_file_sync_result(f, ret);
}

int blk_file_writeback(struct blk_file *f)
{
	unsigned int flags = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
			     SYNC_FILE_RANGE_WAIT_AFTER;

	/* An error found here is not found again by fdatasync(): it must not get lost. */
	if (sync_file_range(f->fd, 0, 0, flags) && (errno == EIO || errno == ENOSPC ||
						    errno == EDQUOT))
		return blk_file_sync_result(f, -errno);
	return 0;
}

int blk_file_truncate(struct blk_file *f, uint64_t size)
{
	int ret = file_trace(f, BLK_FILE_TRUNCATE, 0, NULL, 0, size);

	if (ret)
		return ret;
	return ftruncate(f->fd, (off_t)size) ? -errno : 0;
}

/* Block devices want whole sectors; what is left over at the ends stays as it was. */
static int file_blkdev_range(struct blk_file *f, unsigned long cmd, uint64_t off, uint64_t len)
{
	int sector = 512;
	uint64_t range[2], end = off + len;

	if (ioctl(f->fd, BLKSSZGET, &sector) || sector < 512)
		return -EOPNOTSUPP;
	if (off % (uint64_t)sector || end % (uint64_t)sector)
		return -EOPNOTSUPP;
	range[0] = off;
	range[1] = len;
	return ioctl(f->fd, cmd, range) ? -EOPNOTSUPP : 0;
}

int blk_file_punch(struct blk_file *f, uint64_t off, uint64_t len)
{
	int ret;

	if (!len)
		return 0;
	if (f->blockdev)
		return file_blkdev_range(f, BLKDISCARD, off, len);
	ret = file_trace(f, BLK_FILE_ZERO, off, NULL, 0, len);
	if (ret)
		return ret;
	if (fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len))
		return errno == ENOSYS ? -EOPNOTSUPP : -errno;
	return 0;
}

int blk_file_zero(struct blk_file *f, uint64_t off, uint64_t len)
{
	static const char zeroes[ZERO_CHUNK];
	uint64_t n;
	int ret = 0;

	if (!len)
		return 0;
	if (f->blockdev) {
		if (!file_blkdev_range(f, BLKZEROOUT, off, len))
			return 0;
	} else if (!fallocate(f->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)off,
			      (off_t)len)) {
		return file_trace(f, BLK_FILE_ZERO, off, NULL, 0, len);
	} else if (errno == ENOSPC || errno == EDQUOT || errno == EIO) {
		return -errno;
	}
	for (; len && !ret; off += n, len -= n) {
		n = len < ZERO_CHUNK ? len : ZERO_CHUNK;
		ret = blk_file_pwrite(f, zeroes, n, off);
	}
	return ret;
}

/* ---- iovec helpers ---- */

uint64_t blk_iov_len(const struct iovec *iov, int iovcnt)
{
	uint64_t len = 0;
	int i;

	for (i = 0; i < iovcnt; i++)
		len += iov[i].iov_len;
	return len;
}

int blk_iov_slice(struct iovec *dst, const struct iovec *src, int iovcnt, uint64_t off,
		  uint64_t len)
{
	uint64_t n;
	int i, cnt = 0;

	for (i = 0; i < iovcnt && len; i++) {
		if (off >= src[i].iov_len) {
			off -= src[i].iov_len;
			continue;
		}
		n = src[i].iov_len - off;
		if (n > len)
			n = len;
		dst[cnt].iov_base = (char *)src[i].iov_base + off;
		dst[cnt++].iov_len = n;
		off = 0;
		len -= n;
	}
	return cnt;
}

void blk_iov_zero(const struct iovec *iov, int iovcnt, uint64_t off, uint64_t len)
{
	struct iovec part;
	int i;

	for (i = 0; i < iovcnt && len; i++) {
		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		if (!blk_iov_slice(&part, &iov[i], 1, off, len))
			break;
		memset(part.iov_base, 0, part.iov_len);
		off = 0;
		len -= part.iov_len;
	}
}

void blk_iov_from_buf(const struct iovec *iov, int iovcnt, uint64_t off, const void *buf,
		      uint64_t len)
{
	struct iovec part;
	int i;

	for (i = 0; i < iovcnt && len; i++) {
		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		if (!blk_iov_slice(&part, &iov[i], 1, off, len))
			break;
		memcpy(part.iov_base, buf, part.iov_len);
		buf = (const char *)buf + part.iov_len;
		off = 0;
		len -= part.iov_len;
	}
}

void blk_iov_advance(struct iovec **iov, int *iovcnt, uint64_t n)
{
	while (*iovcnt && n >= (*iov)->iov_len) {
		n -= (*iov)->iov_len;
		(*iov)++;
		(*iovcnt)--;
	}
	if (*iovcnt) {
		(*iov)->iov_base = (char *)(*iov)->iov_base + n;
		(*iov)->iov_len -= n;
	}
}
