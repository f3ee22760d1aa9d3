/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_SAVED_CONFIG_H
#define HVM_SAVED_CONFIG_H

#include <sys/stat.h>

#include "../config.h"
#include "stream.h"

/* What a guest was made of: the options of "hvm run", and what its disks were when it was saved. */

enum hvm_saved_disk_kind {
	HVM_DISK_READONLY,	/* anybody may read it */
	HVM_DISK_OWNED,		/* the guest goes on with it, once */
	HVM_DISK_FROZEN,	/* the base of what the guest went on with: never to be written */
};

struct hvm_saved_disk {
	char *path;		/* absolute; allocated */
	enum hvm_saved_disk_kind kind;
	bool device;		/* a block device, of which nobody can say whether it changed */
	uint64_t size;		/* of the file, bytes */
	int64_t mtime_s;
	uint32_t mtime_ns;
};

struct hvm_saved_option {
	char *name, *value;	/* allocated; value may be NULL */
};

struct hvm_saved_config {
	char *name;		/* of the guest */
	char *dir;		/* where relative names begin */
	struct hvm_saved_option *option;
	unsigned int nr_options;
	struct hvm_saved_disk disk[HVM_MAX_DISKS];
	unsigned int nr_disks;
};

/* Fill in what depends on the file @path, which is as it is to stay. */
int hvm_saved_disk_stat(struct hvm_saved_disk *disk, const char *path, struct hv_err *err);
/* Is the file what it was? */
int hvm_saved_disk_check(const struct hvm_saved_disk *disk, struct hv_err *err);

void hvm_saved_config_write(const struct hvm_config *cfg, const struct hvm_saved_disk *disk,
			    struct hv_state_writer *w);
int hvm_saved_config_read(struct hv_state_reader *r, struct hvm_saved_config *c,
			  struct hv_err *err);
void hvm_saved_config_free(struct hvm_saved_config *c);
/* The @n'th option called @name, or NULL. */
struct hvm_saved_option *hvm_saved_config_option(struct hvm_saved_config *c, const char *name,
						 unsigned int n);
/*
 * Add an option, or replace the @n'th of its name; strings are copied. -ENOENT: fewer than @n of
 * them; -ENOMEM.
 */
int hvm_saved_config_set(struct hvm_saved_config *c, const char *name, unsigned int n,
			 const char *value);

#endif
