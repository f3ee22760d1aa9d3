// SPDX-License-Identifier: GPL-2.0-or-later
/* Images: opening by name and format, chains of backing images, closing. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block_int.h"

#define CHAIN_MAX	200	/* backing images under one another */
#define QCOW2_MAGIC	"QFI\xfb"

/* What is being opened above an image, to find loops. */
struct open_level {
	const struct open_level *above;
	const struct blk_file *file;
	unsigned int depth;
};

static int image_open(const char *path, enum blk_format format, bool readonly,
		      const struct open_level *above, struct blk_image **res, struct hv_err *err);

static int image_probe(struct blk_file *file, enum blk_format *format, struct hv_err *err)
{
	char magic[4] = "";
	int ret = blk_file_pread(file, magic, sizeof(magic), 0);

	if (ret)
		return hv_err_set(err, ret, "%s: cannot read: %s", file->path, strerror(-ret));
	*format = memcmp(magic, QCOW2_MAGIC, sizeof(magic)) ? BLK_FORMAT_RAW : BLK_FORMAT_QCOW2;
	return 0;
}

/* The path of backing image @name: relative to the directory of the image that names it. */
static int backing_path(const char *image, const char *name, char **path, struct hv_err *err)
{
	const char *slash = strrchr(image, '/');
	const char *colon;

	if (!strncmp(name, "file:", 5))
		name += 5;
	colon = strchr(name, ':');
	if (colon && !memchr(name, '/', (size_t)(colon - name)))
		return hv_err_set(err, -ENOTSUP,
				  "%s: backing image \"%.80s\" is not a file name", image, name);
	if (name[0] == '/' || !slash)
		*path = strdup(name);
	else if (asprintf(path, "%.*s/%s", (int)(slash - image), image, name) < 0)
		*path = NULL;
	if (!*path)
		return hv_err_set(err, -ENOMEM, "%s: out of memory", image);
	return 0;
}

static int image_open_backing(struct blk_image *img, const struct blk_backing *backing,
			      const struct open_level *level, struct hv_err *err)
{
	char *path = NULL;
	int ret;

	ret = backing_path(img->file.path, backing->name, &path, err);
	if (ret)
		return ret;
	ret = image_open(path, backing->format, true, level, &img->backing, err);
	free(path);
	return ret;
}

static int image_check_loop(const struct blk_file *file, const struct open_level *above,
			    struct hv_err *err)
{
	const struct open_level *l;

	if (above && above->depth >= CHAIN_MAX)
		return hv_err_set(err, -ELOOP, "%s: more than %d backing images under one another",
				  file->path, CHAIN_MAX);
	for (l = above; l; l = l->above)
		if (l->file->dev == file->dev && l->file->ino == file->ino)
			return hv_err_set(err, -ELOOP,
					  "%s: is its own backing image (the chain is a loop)",
					  file->path);
	return 0;
}

static void image_free(struct blk_image *img)
{
	struct blk_file file = img->file;
	struct blk_image *backing = img->backing;

	blk_pool_destroy(img->pool);
	blk_tracker_fini(&img->tracker);
	img->drv->free(img);
	blk_file_close(&file);
	if (backing)
		image_free(backing);
}

/*
 * @file: open and locked; owned by the image on success, by the caller otherwise. @below: the
 * backing image if it is open already, the same.
 */
static int image_open_format(struct blk_file *file, enum blk_format format, bool readonly,
			     const struct open_level *above, struct blk_image *below,
			     struct blk_image **res, struct hv_err *err)
{
	struct open_level level = { .above = above, .file = file,
				    .depth = above ? above->depth + 1 : 0 };
	struct blk_backing backing = { 0 };
	struct blk_image *img;
	int ret;

	if (format == BLK_FORMAT_RAW)
		ret = blk_raw_open(file, readonly, &img, err);
	else
		ret = blk_qcow2_open(file, readonly, &img, &backing, err);
	if (ret)
		return ret;
	img->file = *file;
	blk_tracker_init(&img->tracker);
	if (below)
		img->backing = below;
	else if (backing.name)
		ret = image_open_backing(img, &backing, &level, err);
	free(backing.name);
	if (!ret && format == BLK_FORMAT_QCOW2)
		ret = blk_qcow2_start(img, err);
	if (ret) {
		img->file.fd = -1;
		img->file.path = NULL;
		if (below)
			img->backing = NULL;
		image_free(img);
		return ret;
	}
	*res = img;
	return 0;
}

static int image_open(const char *path, enum blk_format format, bool readonly,
		      const struct open_level *above, struct blk_image **res, struct hv_err *err)
{
	bool probed = format == BLK_FORMAT_PROBE;
	struct blk_file file;
	int ret;

	ret = blk_file_open(&file, path, !readonly, err);
	if (ret)
		return ret;
	ret = image_check_loop(&file, above, err);
	if (!ret)
		ret = blk_file_lock(&file, err);
	if (!ret && probed)
		ret = image_probe(&file, &format, err);
	/* A guest that can write to a raw image could else turn it into a qcow2 image. */
	if (!ret && probed && format == BLK_FORMAT_RAW && !readonly)
		ret = hv_err_set(err, -EINVAL,
				 "%s: not a qcow2 image; to use it as it is, say format=raw", path);
	if (!ret)
		ret = image_open_format(&file, format, readonly, above, NULL, res, err);
	if (ret)
		blk_file_close(&file);
	return ret;
}

int blk_open(const struct blk_open_opts *opts, struct blk_image **res, struct hv_err *err)
{
	struct blk_image *img;
	int ret;

	ret = image_open(opts->filename, opts->format, opts->readonly, NULL, &img, err);
	if (ret)
		return ret;
	ret = blk_pool_create(&img->pool);
	if (ret) {
		hv_err_set(err, ret, "%s: cannot start a worker thread: %s", opts->filename,
			   strerror(-ret));
		blk_close(img);
		return ret;
	}
	img->outlives_process = opts->outlives_process;
	*res = img;
	return 0;
}

static int overlay_open(const char *path, struct blk_image *below, struct blk_image **res,
			struct hv_err *err)
{
	struct blk_file file;
	int ret = blk_file_open(&file, path, true, err);

	if (ret)
		return ret;
	ret = blk_file_lock(&file, err);
	if (!ret)
		ret = image_open_format(&file, BLK_FORMAT_QCOW2, false, NULL, below, res, err);
	if (ret) {
		blk_file_close(&file);
		return ret;
	}
	ret = blk_pool_create(&(*res)->pool);
	if (ret) {
		(*res)->backing = NULL;
		image_free(*res);
		hv_err_set(err, ret, "%s: no worker thread: %s", path, strerror(-ret));
	}
	return ret;
}

int blk_snapshot_external(struct blk_image **img, const char *path, struct hv_err *err)
{
	struct blk_image *below = *img, *top;
	bool serialise = below->serialise;
	int ret;

	if (below->readonly)
		return hv_err_set(err, -EROFS, "%s: is open for reading only", below->file.path);
	ret = below->drv->close(below);
	if (ret)
		return hv_err_set(err, ret, "%s: cannot be flushed: %s", below->file.path,
				  strerror(-ret));
	ret = blk_qcow2_create_overlay(path, below, err);
	if (ret)
		return ret;
	below->readonly = true;
	below->serialise = false;
	ret = overlay_open(path, below, &top, err);
	if (ret) {
		below->readonly = false;
		below->serialise = serialise;
		unlink(path);
		return ret;
	}
	top->outlives_process = below->outlives_process;
	*img = top;
	return 0;
}

int blk_close(struct blk_image *img)
{
	int ret;

	if (!img)
		return 0;
	ret = img->drv->close(img);
	image_free(img);
	return ret;
}

uint64_t blk_size(const struct blk_image *img)
{
	return img->size;
}

bool blk_is_readonly(const struct blk_image *img)
{
	return img->readonly;
}

uint32_t blk_cluster_size(const struct blk_image *img)
{
	return (uint32_t)img->align;
}

const char *blk_filename(const struct blk_image *img)
{
	return img->file.path;
}

const char *blk_format_name(const struct blk_image *img)
{
	return img->drv->name;
}

uint64_t blk_allocated(const struct blk_image *img)
{
	struct stat st;

	return fstat(img->file.fd, &st) ? 0 : (uint64_t)st.st_blocks * 512;
}
