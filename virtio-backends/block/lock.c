// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Excluding other users of an image, in the way that QEMU does it, so that hvm, QEMU and qemu-img
 * exclude each other. A user of a file says by open-file-description read locks on single bytes
 * what it does and what it forbids others to do:
 *
 *   100 + n   I use permission n
 *   200 + n   nobody else may use permission n
 *
 * with n: 0 consistent read, 1 write, 2 write the same data, 3 resize. It first takes its own
 * bytes, then looks whether somebody else holds the opposite ones. Two that start at the same time
 * may both fail, but never both go on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "block_int.h"

#define LOCK_USE_BASE		100
#define LOCK_FORBID_BASE	200

/*
 * A process that was killed keeps its locks until the kernel has torn down its io_uring, some
 * milliseconds after it is gone.
 */
#define LOCK_TRIES	12
#define LOCK_WAIT_US	50000

#define PERM_READ	(1u << 0)
#define PERM_WRITE	(1u << 1)
#define PERM_RESIZE	(1u << 3)
#define PERM_COUNT	4

static int lock_byte(int fd, int cmd, short type, off_t byte, struct flock *fl)
{
	*fl = (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
	return fcntl(fd, cmd, fl) ? -errno : 0;
}

/* -EBUSY: somebody holds one of the bytes; other errors: the file system has no locks. */
static int lock_check(int fd, off_t base, unsigned int perms)
{
	struct flock fl;
	unsigned int n;
	int ret;

	for (n = 0; n < PERM_COUNT; n++) {
		if (!(perms & (1u << n)))
			continue;
		ret = lock_byte(fd, F_OFD_GETLK, F_WRLCK, base + n, &fl);
		if (ret)
			return ret;
		if (fl.l_type != F_UNLCK)
			return -EBUSY;
	}
	return 0;
}

static int lock_take(int fd, off_t base, unsigned int perms)
{
	struct flock fl;
	unsigned int n;
	int ret;

	for (n = 0; n < PERM_COUNT; n++) {
		if (!(perms & (1u << n)))
			continue;
		ret = lock_byte(fd, F_OFD_SETLK, F_RDLCK, base + n, &fl);
		if (ret)
			return ret == -EAGAIN || ret == -EACCES ? -EBUSY : ret;
	}
	return 0;
}

static int lock_try(struct blk_file *f)
{
	unsigned int use = PERM_READ | (f->writable ? PERM_WRITE | PERM_RESIZE : 0);
	unsigned int forbid = PERM_WRITE | PERM_RESIZE;
	int ret;

	ret = lock_take(f->fd, LOCK_USE_BASE, use);
	if (!ret)
		ret = lock_take(f->fd, LOCK_FORBID_BASE, forbid);
	if (!ret)
		ret = lock_check(f->fd, LOCK_FORBID_BASE, use);
	if (!ret)
		ret = lock_check(f->fd, LOCK_USE_BASE, forbid);
	return ret;
}

int blk_file_lock(struct blk_file *f, struct hv_err *err)
{
	struct flock fl;
	int i;

	for (i = 0; i < LOCK_TRIES; i++) {
		if (lock_try(f) != -EBUSY)
			return 0;
		/* Let go meanwhile: another one may be trying as well. */
		fl = (struct flock){ .l_type = F_UNLCK, .l_whence = SEEK_SET };
		fcntl(f->fd, F_OFD_SETLK, &fl);
		usleep(LOCK_WAIT_US);
	}
	return hv_err_set(err, -EBUSY, f->writable ?
			  "%s: in use by another process (lock held); a disk can be written by one guest only" :
			  "%s: being written by another process (lock held)", f->path);
}
