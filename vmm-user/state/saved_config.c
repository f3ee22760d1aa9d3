// SPDX-License-Identifier: GPL-2.0-or-later
/* What a saved guest was made of; see saved_config.h. */
#include "saved_config.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_STATE_VERSION	1
#define DISKS_STATE_VERSION	1
#define MAX_OPTIONS		256
#define MAX_NAME		64
#define MAX_VALUE		(128u << 10)	/* longer than any argument of a program */

/* ---- Disks ---- */

int hvm_saved_disk_stat(struct hvm_saved_disk *disk, const char *path, struct hv_err *err)
{
	struct stat st;

	if (stat(path, &st))
		return hv_err_set(err, -errno, "%s: %s", path, strerror(errno));
	disk->device = S_ISBLK(st.st_mode);
	disk->size = (uint64_t)st.st_size;
	disk->mtime_s = st.st_mtim.tv_sec;
	disk->mtime_ns = (uint32_t)st.st_mtim.tv_nsec;
	return 0;
}

int hvm_saved_disk_check(const struct hvm_saved_disk *disk, struct hv_err *err)
{
	struct hvm_saved_disk now = { 0 };
	int ret = hvm_saved_disk_stat(&now, disk->path, err);

	if (ret)
		return ret;
	if (disk->kind != HVM_DISK_READONLY && (disk->device || now.device))
		return hv_err_set(err, -ESTALE, "%s: a block device, which nobody can say has not been "
				  "written to since the guest was saved; if you know that it has not, "
				  "say --trust-disks", disk->path);
	if (now.size != disk->size || now.mtime_s != disk->mtime_s ||
	    now.mtime_ns != disk->mtime_ns)
		return hv_err_set(err, -ESTALE, "%s: has changed since the guest was saved, and would not "
				  "fit its memory; if it is an unchanged copy, say --trust-disks",
				  disk->path);
	return 0;
}

static void write_disks(const struct hvm_config *cfg, const struct hvm_saved_disk *disk,
			struct hv_state_writer *w)
{
	hv_state_begin(w, "disks", DISKS_STATE_VERSION);
	hv_state_put_u32(w, cfg->nr_disks);
	for (unsigned int i = 0; i < cfg->nr_disks; i++) {
		hv_state_put_str(w, disk[i].path);
		hv_state_put_u8(w, (uint8_t)disk[i].kind);
		hv_state_put_u8(w, disk[i].device);
		hv_state_put_u64(w, disk[i].size);
		hv_state_put_u64(w, (uint64_t)disk[i].mtime_s);
		hv_state_put_u32(w, disk[i].mtime_ns);
	}
	hv_state_end(w);
}

static int read_disks(struct hv_state_reader *r, struct hvm_saved_config *c, struct hv_err *err)
{
	int ret = hv_state_open(r, "disks", DISKS_STATE_VERSION, err);
	unsigned int n;

	if (ret < 0)
		return ret;
	n = hv_state_get_u32(r);
	if (n > HVM_MAX_DISKS)
		return hv_err_set(err, -ENOTSUP, "the guest has %u disks, this hvm can have %u", n,
				  HVM_MAX_DISKS);
	for (; c->nr_disks < n; c->nr_disks++) {
		struct hvm_saved_disk *d = &c->disk[c->nr_disks];
		uint8_t kind;

		d->path = hv_state_get_str(r, PATH_MAX);
		kind = hv_state_get_u8(r);
		d->kind = kind;
		d->device = hv_state_get_u8(r) & 1;
		d->size = hv_state_get_u64(r);
		d->mtime_s = (int64_t)hv_state_get_u64(r);
		d->mtime_ns = hv_state_get_u32(r);
		if (!d->path || kind > HVM_DISK_FROZEN)
			return hv_err_set(err, -EBADMSG, "the state of disk %u is damaged", c->nr_disks);
	}
	return hv_state_close(r, err);
}

/* ---- Options ---- */

void hvm_saved_config_write(const struct hvm_config *cfg, const struct hvm_saved_disk *disk,
			    struct hv_state_writer *w)
{
	char dir[PATH_MAX];

	hv_state_begin(w, "config", CONFIG_STATE_VERSION);
	hv_state_put_str(w, cfg->name);
	/* One that was removed matters only to relative names, which then cannot be found. */
	hv_state_put_str(w, getcwd(dir, sizeof(dir)) ? dir : "/");
	hv_state_put_u32(w, cfg->nr_options);
	for (unsigned int i = 0; i < cfg->nr_options; i++) {
		hv_state_put_str(w, cfg->option[i].name);
		hv_state_put_u8(w, cfg->option[i].value != NULL);
		hv_state_put_str(w, cfg->option[i].value);
	}
	hv_state_end(w);
	write_disks(cfg, disk, w);
}

static int read_option(struct hv_state_reader *r, struct hvm_saved_option *o)
{
	bool valued;

	o->name = hv_state_get_str(r, MAX_NAME);
	valued = hv_state_get_u8(r) & 1;
	o->value = hv_state_get_str(r, MAX_VALUE);
	if (!o->name || !o->value) {
		free(o->name);
		free(o->value);
		return -EBADMSG;
	}
	if (!valued) {
		free(o->value);
		o->value = NULL;
	}
	return 0;
}

static int read_options(struct hv_state_reader *r, struct hvm_saved_config *c)
{
	unsigned int n;

	c->name = hv_state_get_str(r, HVM_NAME_MAX);
	c->dir = hv_state_get_str(r, PATH_MAX);
	n = hv_state_get_u32(r);
	if (!c->name || !c->dir || n > MAX_OPTIONS)
		return -EBADMSG;
	c->option = calloc(n ? n : 1, sizeof(c->option[0]));
	if (!c->option)
		return -ENOMEM;
	for (; c->nr_options < n; c->nr_options++)
		if (read_option(r, &c->option[c->nr_options]))
			return -EBADMSG;
	return 0;
}

int hvm_saved_config_read(struct hv_state_reader *r, struct hvm_saved_config *c, struct hv_err *err)
{
	int ret = hv_state_open(r, "config", CONFIG_STATE_VERSION, err);

	*c = (struct hvm_saved_config){ 0 };
	if (ret < 0)
		return ret;
	ret = read_options(r, c);
	if (ret)
		hv_err_set(err, ret, "the guest's options are damaged, or out of memory");
	if (!ret)
		ret = hv_state_close(r, err);
	if (!ret)
		ret = read_disks(r, c, err);
	if (ret)
		hvm_saved_config_free(c);
	return ret;
}

void hvm_saved_config_free(struct hvm_saved_config *c)
{
	for (unsigned int i = 0; i < c->nr_options; i++) {
		free(c->option[i].name);
		free(c->option[i].value);
	}
	/* One beyond the last may be half read. */
	for (unsigned int i = 0; i < HVM_MAX_DISKS; i++)
		free(c->disk[i].path);
	free(c->option);
	free(c->name);
	free(c->dir);
	*c = (struct hvm_saved_config){ 0 };
}

struct hvm_saved_option *hvm_saved_config_option(struct hvm_saved_config *c, const char *name,
						 unsigned int n)
{
	for (unsigned int i = 0; i < c->nr_options; i++)
		if (!strcmp(c->option[i].name, name) && !n--)
			return &c->option[i];
	return NULL;
}

static int add_option(struct hvm_saved_config *c, const char *name, const char *value)
{
	struct hvm_saved_option *o = realloc(c->option, (c->nr_options + 1) * sizeof(*o));

	if (!o)
		return -ENOMEM;
	c->option = o;
	o += c->nr_options;
	o->name = strdup(name);
	o->value = strdup(value);
	if (!o->name || !o->value) {
		free(o->name);
		free(o->value);
		return -ENOMEM;
	}
	c->nr_options++;
	return 0;
}

int hvm_saved_config_set(struct hvm_saved_config *c, const char *name, unsigned int n,
			 const char *value)
{
	struct hvm_saved_option *o = hvm_saved_config_option(c, name, n);
	char *copy;

	if (!o)
		return n ? -ENOENT : add_option(c, name, value);
	copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	free(o->value);
	o->value = copy;
	return 0;
}
