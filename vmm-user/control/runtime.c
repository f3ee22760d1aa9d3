// SPDX-License-Identifier: GPL-2.0-or-later
/* The directory of running guests; see runtime.h. */
#include "runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_TRIES	20
#define LOCK_WAIT_US	10000

bool hvm_name_valid(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	static const char all[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t len = strlen(name);

	return len && len <= HVM_NAME_MAX && strchr(letters, name[0]) && strspn(name, all) == len;
}

static int runtime_path(char path[HVM_RUNTIME_PATH_MAX], struct hv_err *err)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	int n;

	if (xdg && xdg[0] == '/')
		n = snprintf(path, HVM_RUNTIME_PATH_MAX, "%s/hvm", xdg);
	else if (geteuid() == 0)
		n = snprintf(path, HVM_RUNTIME_PATH_MAX, "/run/hvm");
	else
		n = snprintf(path, HVM_RUNTIME_PATH_MAX, "/tmp/hvm-%u", geteuid());
	if (n >= HVM_RUNTIME_PATH_MAX)
		return hv_err_set(err, -ENAMETOOLONG, "$XDG_RUNTIME_DIR is too long");
	return 0;
}

int hvm_runtime_open(bool create, char path[HVM_RUNTIME_PATH_MAX], struct hv_err *err)
{
	struct stat st;
	int fd, ret = runtime_path(path, err);

	if (ret)
		return ret;
	if (create && mkdir(path, 0700) && errno != EEXIST)
		return hv_err_set(err, -errno, "%s: %s", path, strerror(errno));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return hv_err_set(err, -errno, "%s: %s", path, strerror(errno));
	/* /tmp is everybody's: whoever makes the directory first must not be somebody else. */
	if (fstat(fd, &st) || st.st_uid != geteuid() || (st.st_mode & 022)) {
		close(fd);
		return hv_err_set(err, -EPERM, "%s: belongs to somebody else, or others may write to "
				  "it; remove it", path);
	}
	return fd;
}

static void lock_file(char *buf, size_t len, const char *name)
{
	snprintf(buf, len, "%s.lock", name);
}

/* Lock it if nobody does: the descriptor, -EWOULDBLOCK, or -EAGAIN: it was being removed. */
static int try_lock(int dirfd, const char *file, int flags)
{
	struct stat mine, there;
	int fd = openat(dirfd, file, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		int ret = errno == EWOULDBLOCK ? -EBUSY : -errno;

		close(fd);
		return ret;
	}
	if (fstat(fd, &mine) || fstatat(dirfd, file, &there, AT_SYMLINK_NOFOLLOW) ||
	    mine.st_ino != there.st_ino) {
		close(fd);
		return -EAGAIN;
	}
	return fd;
}

int hvm_runtime_lock(int dirfd, const char *name, struct hv_err *err)
{
	char file[HVM_NAME_MAX + 8];
	int fd = -EAGAIN;

	lock_file(file, sizeof(file), name);
	/* "hvm ps" holds the lock for a moment while it looks. */
	for (int i = 0; i < LOCK_TRIES && (fd == -EAGAIN || fd == -EBUSY); i++) {
		if (i)
			usleep(LOCK_WAIT_US);
		fd = try_lock(dirfd, file, O_CREAT);
	}
	if (fd == -EBUSY || fd == -EAGAIN)
		return hv_err_set(err, -EEXIST, "a guest named %s is running; choose another --name, "
				  "or end it with \"hvm stop %s\"", name, name);
	if (fd < 0)
		return hv_err_set(err, fd, "%s: %s", file, strerror(-fd));
	return fd;
}

void hvm_runtime_unlock(int dirfd, const char *name, int lock_fd)
{
	char file[HVM_NAME_MAX + 8];

	snprintf(file, sizeof(file), "%s.sock", name);
	unlinkat(dirfd, file, 0);
	lock_file(file, sizeof(file), name);
	unlinkat(dirfd, file, 0);
	close(lock_fd);
}

bool hvm_runtime_alive(int dirfd, const char *name)
{
	char file[HVM_NAME_MAX + 8];
	int fd;

	lock_file(file, sizeof(file), name);
	fd = try_lock(dirfd, file, 0);
	if (fd == -EBUSY)
		return true;
	if (fd >= 0)
		hvm_runtime_unlock(dirfd, name, fd);
	return false;
}
