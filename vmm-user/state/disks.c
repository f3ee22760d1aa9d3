// SPDX-License-Identifier: GPL-2.0-or-later
/* The disks of a guest that is saved; see disks.h. */
#include "disks.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- Overlays ---- */

static int sync_path(const char *path, int flags)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | flags), ret = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd))
		ret = -errno;
	close(fd);
	return ret;
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

int hvm_make_overlay(const char *file, const char *base, uint64_t size, struct hv_err *err)
{
	char bytes[24];
	const char *argv[] = { "qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", base, "-F",
			       "qcow2", "--", file, bytes, NULL };
	posix_spawnattr_t attr;
	sigset_t none;
	pid_t pid;
	int ret;

	snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)size);
	/* Threads of hvm block signals; a program that it runs must not. */
	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	ret = posix_spawnp(&pid, argv[0], NULL, &attr, (char *const *)argv, environ);
	posix_spawnattr_destroy(&attr);
	if (ret == ENOENT)
		return hv_err_set(err, -ret, "%s: overlays need qemu-img; install qemu-utils", file);
	if (ret)
		return hv_err_set(err, -ret, "qemu-img: %s", strerror(ret));
	ret = wait_for(pid);
	if (ret)
		return hv_err_set(err, -EIO, "%s: qemu-img cannot create it (status %d)", file, ret);
	ret = sync_path(file, 0);
	return ret ? hv_err_set(err, ret, "%s: %s", file, strerror(-ret)) : 0;
}

int hvm_qcow2_size(const char *file, uint64_t *size, struct hv_err *err)
{
	const struct blk_open_opts opts = {
		.filename = file, .format = BLK_FORMAT_QCOW2, .readonly = true,
	};
	struct blk_image *img;
	int ret = blk_open(&opts, &img, err);

	if (ret)
		return ret;
	*size = blk_size(img);
	return blk_close(img);
}

/* ---- Preparing ---- */

/* The directory part, with its slash. */
static int dir_len(const char *path)
{
	return (int)(strrchr(path, '/') - path) + 1;
}

static int prepare_overlay(struct hvm_save_disks *d, unsigned int n, const char *suffix,
			   struct hv_err *err)
{
	const char *path = d->path[n], *frozen;
	int len = dir_len(path), ret;

	if (d->saved[n].device || d->cfg->disk[n].format == BLK_FORMAT_RAW)
		return hv_err_set(err, -ENOTSUP, "%s: a guest that is to go on needs qcow2 images, as an "
				  "overlay takes the disk's place (qemu-img create -f qcow2 -b DISK -F raw "
				  "OVERLAY makes a disk of that kind); nothing is saved", path);
	free(d->saved[n].path);
	d->saved[n].path = NULL;
	if (asprintf(&d->saved[n].path, "%s.%s", path, suffix) < 0 ||
	    asprintf(&d->overlay[n], "%.*s.%s.%s", len, path, path + len, suffix) < 0)
		return hv_err_set(err, -ENOMEM, "out of memory");
	frozen = d->saved[n].path;
	if (!access(frozen, F_OK) || !access(d->overlay[n], F_OK)) {
		free(d->overlay[n]);
		d->overlay[n] = NULL;
		return hv_err_set(err, -EEXIST, "%s: exists", frozen);
	}
	ret = hvm_make_overlay(d->overlay[n], frozen + len, hvm_devices_disk_size(d->devices, n),
			       err);
	if (ret)
		return ret;
	d->saved[n].kind = HVM_DISK_FROZEN;
	return 0;
}

static int prepare_disk(struct hvm_save_disks *d, unsigned int n, const char *suffix,
			struct hv_err *err)
{
	const struct hvm_disk_config *disk = &d->cfg->disk[n];
	int ret;

	d->path[n] = realpath(disk->path, NULL);
	if (!d->path[n])
		return hv_err_set(err, -errno, "%s: %s", disk->path, strerror(errno));
	d->saved[n].path = strdup(d->path[n]);
	if (!d->saved[n].path)
		return hv_err_set(err, -ENOMEM, "out of memory");
	ret = hvm_saved_disk_stat(&d->saved[n], d->path[n], err);
	if (ret)
		return ret;
	d->saved[n].kind = disk->readonly ? HVM_DISK_READONLY : HVM_DISK_OWNED;
	return disk->readonly || !d->go_on ? 0 : prepare_overlay(d, n, suffix, err);
}

int hvm_save_disks_prepare(struct hvm_save_disks *d, const struct hvm_config *cfg,
			   struct hvm_devices *devices, bool go_on, const char *suffix,
			   struct hv_err *err)
{
	int ret = 0;

	*d = (struct hvm_save_disks){ .cfg = cfg, .devices = devices, .go_on = go_on };
	for (unsigned int i = 0; i < cfg->nr_disks && !ret; i++)
		ret = prepare_disk(d, i, suffix, err);
	if (ret)
		hvm_save_disks_free(d);
	return ret;
}

void hvm_save_disks_free(struct hvm_save_disks *d)
{
	for (unsigned int i = 0; i < HVM_MAX_DISKS; i++) {
		if (d->overlay[i] && !d->moved[i])
			unlink(d->overlay[i]);
		free(d->overlay[i]);
		free(d->path[i]);
		free(d->saved[i].path);
	}
	*d = (struct hvm_save_disks){ 0 };
}

/* ---- At the moment that counts ---- */

/* A second name for the image, then the overlay under the first: at no time is there none. */
static int move_disk(struct hvm_save_disks *d, unsigned int n, struct hv_err *err)
{
	char dir[PATH_MAX];
	int ret;

	if (link(d->path[n], d->saved[n].path))
		return hv_err_set(err, -errno, "%s: cannot have the name %s as well: %s", d->path[n],
				  d->saved[n].path, strerror(errno));
	if (rename(d->overlay[n], d->path[n])) {
		ret = hv_err_set(err, -errno, "%s: cannot be renamed to %s: %s", d->overlay[n],
				 d->path[n], strerror(errno));
		unlink(d->saved[n].path);
		return ret;
	}
	d->moved[n] = true;
	snprintf(dir, sizeof(dir), "%.*s", dir_len(d->path[n]), d->path[n]);
	ret = sync_path(dir, O_DIRECTORY);
	return ret ? hv_err_set(err, ret, "%s: %s", dir, strerror(-ret)) : 0;
}

/* Overlays are empty still: nothing ran. */
void hvm_save_disks_undo(struct hvm_save_disks *d)
{
	for (unsigned int i = 0; i < d->cfg->nr_disks; i++) {
		if (!d->moved[i])
			continue;
		hvm_devices_close_disk(d->devices, i, NULL);
		if (!rename(d->saved[i].path, d->path[i])) {
			d->moved[i] = false;
			free(d->overlay[i]);
			d->overlay[i] = NULL;
		}
	}
}

int hvm_save_disks_reopen(struct hvm_save_disks *d, struct hv_err *err)
{
	int ret = 0;

	for (unsigned int i = 0; i < d->cfg->nr_disks && !ret; i++)
		ret = hvm_devices_open_disk(d->devices, i, err);
	return ret;
}

static int switch_disk(struct hvm_save_disks *d, unsigned int n, struct hv_err *err)
{
	int ret = hvm_devices_close_disk(d->devices, n, err);

	if (!ret && d->overlay[n])
		ret = move_disk(d, n, err);
	if (!ret)
		ret = hvm_saved_disk_stat(&d->saved[n], d->saved[n].path, err);
	return ret;
}

int hvm_save_disks_switch(struct hvm_save_disks *d, struct hv_err *err)
{
	int ret = 0;

	for (unsigned int i = 0; i < d->cfg->nr_disks && !ret; i++)
		if (!d->cfg->disk[i].readonly)
			ret = switch_disk(d, i, err);
	if (!ret && d->go_on)
		ret = hvm_save_disks_reopen(d, err);
	if (ret)
		hvm_save_disks_undo(d);
	return ret;
}
