// SPDX-License-Identifier: GPL-2.0-or-later
/* A new overlay: a version 3 image without data over a backing image. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "qcow2.h"

#define CLUSTER_BITS	16
#define CLUSTER		(1u << CLUSTER_BITS)
#define L1_OFFSET	(3 * CLUSTER)	/* behind header, refcount table and refcount block */
#define NAME_OFFSET	512u

/* The first three clusters. */
static void fill_tables(uint8_t *buf, uint64_t size, uint32_t l1_size, const char *name,
			const char *format)
{
	uint64_t l1_clusters = (l1_size * 8ull + CLUSTER - 1) / CLUSTER;
	struct qcow2_header h = {
		.magic = htobe32(QCOW2_MAGIC), .version = htobe32(3),
		.backing_file_offset = htobe64(NAME_OFFSET),
		.backing_file_size = htobe32((uint32_t)strlen(name)),
		.cluster_bits = htobe32(CLUSTER_BITS), .size = htobe64(size),
		.l1_size = htobe32(l1_size), .l1_table_offset = htobe64(L1_OFFSET),
		.refcount_table_offset = htobe64(CLUSTER), .refcount_table_clusters = htobe32(1),
		.refcount_order = htobe32(4), .header_length = htobe32(sizeof(h)),
	};
	struct qcow2_extension ext = {
		htobe32(QCOW2_EXT_BACKING_FORMAT), htobe32((uint32_t)strlen(format)),
	};
	uint64_t block = htobe64(2 * CLUSTER);
	uint16_t one = htobe16(1);

	memcpy(buf, &h, sizeof(h));
	memcpy(buf + sizeof(h), &ext, sizeof(ext));
	memcpy(buf + sizeof(h) + sizeof(ext), format, strlen(format));
	memcpy(buf + NAME_OFFSET, name, strlen(name));
	memcpy(buf + CLUSTER, &block, sizeof(block));
	for (uint64_t i = 0; i < 3 + l1_clusters; i++)
		memcpy(buf + 2 * CLUSTER + i * 2, &one, sizeof(one));
}

int blk_qcow2_create_overlay(const char *path, const struct blk_image *below, struct hv_err *err)
{
	unsigned int bits = 2 * CLUSTER_BITS - 3;
	uint64_t l1_size = (below->size + (1ull << bits) - 1) >> bits;
	char name[PATH_MAX];
	uint8_t *buf;
	int fd, ret = 0;

	/* From wherever the overlay is looked at. */
	if (!realpath(below->file.path, name))
		return hv_err_set(err, -errno, "%s: %s", below->file.path, strerror(errno));
	if (strlen(name) > QCOW2_MAX_BACKING_NAME || l1_size > QCOW2_MAX_L1_BYTES / 8)
		return hv_err_set(err, -EFBIG, "%s: too large, or its name too long, for an overlay",
				  name);
	buf = calloc(3, CLUSTER);
	if (!buf)
		return hv_err_set(err, -ENOMEM, "%s: out of memory", path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		ret = hv_err_set(err, -errno, "%s: cannot be made: %s", path, strerror(errno));
		free(buf);
		return ret;
	}
	fill_tables(buf, below->size, (uint32_t)l1_size, name, below->drv->name);
	if (pwrite(fd, buf, 3 * CLUSTER, 0) != 3 * CLUSTER ||
	    ftruncate(fd, (off_t)(L1_OFFSET + l1_size * 8)) || fsync(fd)) {
		ret = hv_err_set(err, errno ? -errno : -ENOSPC, "%s: cannot be written: %s", path,
				 strerror(errno));
		unlink(path);
	}
	close(fd);
	free(buf);
	return ret;
}
