// SPDX-License-Identifier: GPL-2.0-or-later
/* Opening and closing qcow2 images: the header, its extensions, and whether to trust them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../util/log.h"
#include "qcow2.h"

/* A header as read, in host byte order, with what its extensions say. */
struct parsed_header {
	struct qcow2_header h;
	uint8_t *cluster;		/* the first cluster, or what the file has of it */
	uint64_t cluster_len;
	uint64_t file_size;
	char backing_format[32];
	struct qcow2_bitmaps_ext bitmaps;
	const uint8_t *names;		/* feature name table */
	uint32_t names_len;
};

#define BAD(err, file, fmt, ...) \
	hv_err_set(err, -EINVAL, "%s: corrupt qcow2 image: " fmt, (file)->path, ##__VA_ARGS__)
#define UNSUPPORTED(err, file, fmt, ...) \
	hv_err_set(err, -ENOTSUP, "%s: unsupported qcow2 image: " fmt, (file)->path, ##__VA_ARGS__)

void qcow2_set_limit(struct qcow2 *q, uint64_t end)
{
	uint64_t limit = qcow2_clusters(q, end) << q->cluster_bits;

	if (end > q->file_end)
		q->file_end = end;
	if (limit > atomic_load(&q->limit))
		atomic_store(&q->limit, limit);
}

int qcow2_mark_corrupt(struct qcow2 *q, const char *what, uint64_t value)
{
	if (atomic_exchange(&q->broken, true))
		return -EIO;
	hv_log("%s: corrupt qcow2 image: %s %#llx; %s", q->img.file.path, what,
	       (unsigned long long)value,
	       q->img.readonly ? "requests may fail" : "no more writes; see qemu-img check");
	if (!q->img.readonly && q->version >= 3) {
		qcow2_write_incompat(q, atomic_load(&q->incompat) | QCOW2_INCOMPAT_CORRUPT);
		blk_file_sync(&q->img.file);
	}
	return -EIO;
}

/* ---- header ---- */

static void header_to_host(struct qcow2_header *h)
{
	h->magic = be32toh(h->magic);
	h->version = be32toh(h->version);
	h->backing_file_offset = be64toh(h->backing_file_offset);
	h->backing_file_size = be32toh(h->backing_file_size);
	h->cluster_bits = be32toh(h->cluster_bits);
	h->size = be64toh(h->size);
	h->crypt_method = be32toh(h->crypt_method);
	h->l1_size = be32toh(h->l1_size);
	h->l1_table_offset = be64toh(h->l1_table_offset);
	h->refcount_table_offset = be64toh(h->refcount_table_offset);
	h->refcount_table_clusters = be32toh(h->refcount_table_clusters);
	h->nb_snapshots = be32toh(h->nb_snapshots);
	h->snapshots_offset = be64toh(h->snapshots_offset);
	h->incompatible_features = be64toh(h->incompatible_features);
	h->compatible_features = be64toh(h->compatible_features);
	h->autoclear_features = be64toh(h->autoclear_features);
	h->refcount_order = be32toh(h->refcount_order);
	h->header_length = be32toh(h->header_length);
}

static int header_read(struct blk_file *file, struct parsed_header *p, struct hv_err *err)
{
	struct qcow2_header *h = &p->h;
	int64_t size = blk_file_size(file);
	int ret;

	if (size < 0)
		return hv_err_set(err, (int)size, "%s: cannot find out its size: %s", file->path,
				  strerror((int)-size));
	p->file_size = (uint64_t)size;
	ret = blk_file_pread(file, h, sizeof(*h), 0);
	if (ret)
		return hv_err_set(err, ret, "%s: cannot read: %s", file->path, strerror(-ret));
	header_to_host(h);
	if (h->magic != QCOW2_MAGIC)
		return hv_err_set(err, -EINVAL, "%s: not a qcow2 image", file->path);
	if (h->version != 2 && h->version != 3)
		return UNSUPPORTED(err, file, "version %u (2 and 3 are known)", h->version);
	if (p->file_size < (h->version == 2 ? QCOW2_V2_HEADER_LEN : QCOW2_V3_HEADER_LEN))
		return BAD(err, file, "truncated, the file has %llu bytes",
			   (unsigned long long)p->file_size);
	if (h->cluster_bits < QCOW2_MIN_CLUSTER_BITS || h->cluster_bits > QCOW2_MAX_CLUSTER_BITS)
		return BAD(err, file, "cluster size 2^%u is not between 2^%d and 2^%d",
			   h->cluster_bits, QCOW2_MIN_CLUSTER_BITS, QCOW2_MAX_CLUSTER_BITS);
	if (h->version == 2) {
		h->incompatible_features = 0;
		h->compatible_features = 0;
		h->autoclear_features = 0;
		h->refcount_order = 4;
		h->header_length = QCOW2_V2_HEADER_LEN;
	}
	if (h->version == 3 &&
	    (h->header_length < QCOW2_V3_HEADER_LEN || h->header_length % 8 ||
	     h->header_length > 1u << h->cluster_bits))
		return BAD(err, file, "header length %u", h->header_length);
	if (h->header_length <= offsetof(struct qcow2_header, compression_type))
		h->compression_type = QCOW2_COMPRESSION_ZLIB;
	p->cluster_len = 1ull << h->cluster_bits;
	if (p->cluster_len > p->file_size)
		p->cluster_len = p->file_size;
	p->cluster = malloc(p->cluster_len);
	if (!p->cluster)
		return hv_err_set(err, -ENOMEM, "%s: out of memory", file->path);
	ret = blk_file_pread(file, p->cluster, p->cluster_len, 0);
	return ret ? hv_err_set(err, ret, "%s: cannot read: %s", file->path, strerror(-ret)) : 0;
}

static void header_bitmaps(struct parsed_header *p, const uint8_t *data)
{
	memcpy(&p->bitmaps, data, sizeof(p->bitmaps));
	p->bitmaps.nb_bitmaps = be32toh(p->bitmaps.nb_bitmaps);
	p->bitmaps.directory_size = be64toh(p->bitmaps.directory_size);
	p->bitmaps.directory_offset = be64toh(p->bitmaps.directory_offset);
}

static int header_extensions(struct blk_file *file, struct parsed_header *p, struct hv_err *err)
{
	uint64_t pos = p->h.header_length, end = p->cluster_len, len;
	struct qcow2_extension ext;

	if (p->h.backing_file_offset && p->h.backing_file_offset < end)
		end = p->h.backing_file_offset;
	while (pos + sizeof(ext) <= end) {
		memcpy(&ext, p->cluster + pos, sizeof(ext));
		ext.type = be32toh(ext.type);
		len = be32toh(ext.len);
		pos += sizeof(ext);
		if (ext.type == QCOW2_EXT_END)
			return 0;
		if (len > end - pos)
			return BAD(err, file, "header extension %#x is %llu bytes long", ext.type,
				   (unsigned long long)len);
		switch (ext.type) {
		case QCOW2_EXT_BACKING_FORMAT:
			if (len >= sizeof(p->backing_format))
				return BAD(err, file, "name of the backing format is %llu bytes long",
					   (unsigned long long)len);
			memcpy(p->backing_format, p->cluster + pos, len);
			p->backing_format[len] = '\0';
			break;
		case QCOW2_EXT_FEATURE_NAMES:
			p->names = p->cluster + pos;
			p->names_len = (uint32_t)len;
			break;
		case QCOW2_EXT_BITMAPS:
			if (len != sizeof(p->bitmaps))
				return BAD(err, file, "bitmaps extension is %llu bytes long",
					   (unsigned long long)len);
			header_bitmaps(p, p->cluster + pos);
			break;
		default:
			break;		/* extensions that matter come with an incompatible bit */
		}
		pos += (len + 7) & ~7ull;
	}
	return 0;
}

static void feature_name(const struct parsed_header *p, unsigned int bit, char *name, size_t size)
{
	struct qcow2_feature_name f;
	uint32_t pos;
	char *c;

	snprintf(name, size, "unnamed");
	for (pos = 0; pos + sizeof(f) <= p->names_len; pos += sizeof(f)) {
		memcpy(&f, p->names + pos, sizeof(f));
		if (f.type != 0 || f.bit != bit)
			continue;
		snprintf(name, size, "\"%.*s\"", (int)sizeof(f.name), f.name);
		for (c = name; *c; c++)		/* the image must not write to the terminal */
			if (*c < ' ' || *c > '~')
				*c = '?';
	}
}

static int header_features(struct blk_file *file, const struct parsed_header *p, bool readonly,
			   struct hv_err *err)
{
	uint64_t incompat = p->h.incompatible_features, unknown;
	char name[64];

	if (p->h.crypt_method)
		return UNSUPPORTED(err, file, "it is encrypted (method %u)", p->h.crypt_method);
	if (incompat & QCOW2_INCOMPAT_DATA_FILE)
		return UNSUPPORTED(err, file, "its data is in an external file");
	if (incompat & QCOW2_INCOMPAT_EXTENDED_L2)
		return UNSUPPORTED(err, file, "it has extended L2 entries (subclusters)");
	unknown = incompat & ~(QCOW2_INCOMPAT_DIRTY | QCOW2_INCOMPAT_CORRUPT |
			       QCOW2_INCOMPAT_COMPRESSION);
	if (unknown) {
		unsigned int bit = (unsigned int)__builtin_ctzll(unknown);

		feature_name(p, bit, name, sizeof(name));
		return UNSUPPORTED(err, file, "unknown feature %s (incompatible bit %u)", name,
				   bit);
	}
	if (p->h.compression_type > QCOW2_COMPRESSION_ZSTD)
		return UNSUPPORTED(err, file, "compression type %u", p->h.compression_type);
	if (p->h.compression_type && !(incompat & QCOW2_INCOMPAT_COMPRESSION))
		return BAD(err, file, "compression type %u without its feature bit",
			   p->h.compression_type);
	if (incompat & QCOW2_INCOMPAT_CORRUPT && !readonly)
		return hv_err_set(err, -EROFS,
				  "%s: marked as corrupt; repair it with qemu-img check -r all, or open it read-only",
				  file->path);
	return 0;
}

/* One table that the header points to. */
static int header_table(struct blk_file *file, const struct parsed_header *p, const char *name,
			uint64_t off, uint64_t len, struct hv_err *err)
{
	uint64_t cluster = 1ull << p->h.cluster_bits;

	if (off & (cluster - 1) || !off)
		return BAD(err, file, "%s is at %#llx, not at a cluster of its own", name,
			   (unsigned long long)off);
	if (off > p->file_size || len > p->file_size - off)
		return BAD(err, file, "%s (%llu bytes at %#llx) is outside of the file", name,
			   (unsigned long long)len, (unsigned long long)off);
	return 0;
}

static int header_tables(struct blk_file *file, const struct parsed_header *p, struct hv_err *err)
{
	const struct qcow2_header *h = &p->h;
	unsigned int table_bits = 2 * h->cluster_bits - 3;
	uint64_t need = (h->size >> table_bits) + !!(h->size & ((1ull << table_bits) - 1));
	uint64_t l1_len = h->l1_size * 8ull, rt_len;
	int ret = 0;

	if (h->refcount_order > QCOW2_MAX_REFCOUNT_ORDER)
		return BAD(err, file, "refcounts of 2^%u bits", h->refcount_order);
	if (need > QCOW2_MAX_L1_BYTES / 8 || h->l1_size > QCOW2_MAX_L1_BYTES / 8)
		return BAD(err, file, "size %llu needs an L1 table that is too large",
			   (unsigned long long)h->size);
	if (h->l1_size < need)
		return BAD(err, file, "L1 table has %u entries but %llu are needed", h->l1_size,
			   (unsigned long long)need);
	if (!h->refcount_table_clusters ||
	    h->refcount_table_clusters > QCOW2_MAX_REFTABLE_BYTES >> h->cluster_bits)
		return BAD(err, file, "refcount table of %u clusters",
			   h->refcount_table_clusters);
	rt_len = (uint64_t)h->refcount_table_clusters << h->cluster_bits;
	if (l1_len)
		ret = header_table(file, p, "L1 table", h->l1_table_offset, l1_len, err);
	if (!ret)
		ret = header_table(file, p, "refcount table", h->refcount_table_offset, rt_len,
				   err);
	if (ret)
		return ret;
	if (h->l1_table_offset < h->refcount_table_offset + rt_len &&
	    h->refcount_table_offset < h->l1_table_offset + l1_len)
		return BAD(err, file, "L1 table and refcount table overlap");
	if (h->nb_snapshots > QCOW2_MAX_SNAPSHOTS)
		return BAD(err, file, "%u internal snapshots", h->nb_snapshots);
	if (h->nb_snapshots)
		ret = header_table(file, p, "snapshot table", h->snapshots_offset,
				   h->nb_snapshots * sizeof(struct qcow2_snapshot_entry), err);
	if (!ret && p->bitmaps.nb_bitmaps)
		ret = header_table(file, p, "bitmap directory", p->bitmaps.directory_offset,
				   p->bitmaps.directory_size, err);
	return ret;
}

static int header_backing(struct blk_file *file, const struct parsed_header *p,
			  struct blk_backing *backing, struct hv_err *err)
{
	uint64_t off = p->h.backing_file_offset, len = p->h.backing_file_size;
	const char *fmt = p->backing_format;

	if (!off)
		return 0;
	if (!len || len > QCOW2_MAX_BACKING_NAME || off < p->h.header_length ||
	    off > p->cluster_len || len > p->cluster_len - off)
		return BAD(err, file, "name of the backing image: %llu bytes at %#llx",
			   (unsigned long long)len, (unsigned long long)off);
	if (!*fmt)
		backing->format = BLK_FORMAT_PROBE;
	else if (!strcmp(fmt, "raw") || !strcmp(fmt, "file") || !strcmp(fmt, "host_device"))
		backing->format = BLK_FORMAT_RAW;
	else if (!strcmp(fmt, "qcow2"))
		backing->format = BLK_FORMAT_QCOW2;
	else
		return UNSUPPORTED(err, file, "format \"%s\" of its backing image", fmt);
	if (memchr(p->cluster + off, '\0', len))
		return BAD(err, file, "name of the backing image contains a NUL byte");
	backing->name = strndup((const char *)p->cluster + off, len);
	return backing->name ? 0 : hv_err_set(err, -ENOMEM, "%s: out of memory", file->path);
}

/* ---- image ---- */

static void qcow2_free(struct blk_image *img)
{
	struct qcow2 *q = to_qcow2(img);

	qcow2_l2_fini(q);
	qcow2_refcount_fini(q);
	qcow2_alloc_fini(q);
	free(q->l1);
	free(q->l1_dirty);
	free(q->comp_data);
	free(q->comp_in);
	pthread_mutex_destroy(&q->comp_lock);
	pthread_mutex_destroy(&q->map_lock);
	pthread_mutex_destroy(&q->alloc_lock);
	pthread_mutex_destroy(&q->flush_lock);
	free(q);
}

static int qcow2_close(struct blk_image *img)
{
	struct qcow2 *q = to_qcow2(img);
	uint64_t incompat = atomic_load(&q->incompat);
	int ret;

	if (img->readonly)
		return 0;
	pthread_mutex_lock(&q->alloc_lock);
	ret = qcow2_flush_meta(q, true);
	if (!ret && q->lazy && incompat & QCOW2_INCOMPAT_DIRTY) {
		ret = blk_file_sync(&img->file);
		if (!ret)
			ret = qcow2_write_incompat(q, incompat & ~QCOW2_INCOMPAT_DIRTY);
		if (!ret)
			ret = blk_file_sync(&img->file);
	}
	pthread_mutex_unlock(&q->alloc_lock);
	return ret;
}

static const struct blk_driver qcow2_driver = {
	.name = "qcow2",
	.free = qcow2_free,
	.close = qcow2_close,
	.map = qcow2_map,
	.read_compressed = qcow2_read_compressed,
	.write = qcow2_write,
	.discard = qcow2_discard,
	.zero = qcow2_zero,
	.flush = qcow2_flush,
	.flush_simple = qcow2_flush_simple,
	.allocated = qcow2_allocated,
	.resize = qcow2_resize,
	.snapshot = qcow2_snapshot,
	.snapshot_list = qcow2_snapshot_list,
	.check = qcow2_check,
};

static void qcow2_setup(struct qcow2 *q, const struct parsed_header *p, bool readonly)
{
	const struct qcow2_header *h = &p->h;

	q->img.drv = &qcow2_driver;
	q->img.size = h->size;
	q->img.align = 1ull << h->cluster_bits;
	q->img.readonly = readonly;
	q->img.serialise = !readonly;
	q->version = h->version;
	q->cluster_bits = h->cluster_bits;
	q->cluster_size = 1ull << h->cluster_bits;
	q->refcount_order = h->refcount_order;
	q->compression = h->compression_type;
	q->incompat = h->incompatible_features;
	q->compat = h->compatible_features;
	q->autoclear = h->autoclear_features;
	q->lazy = h->compatible_features & QCOW2_COMPAT_LAZY_REFCOUNTS;
	q->nb_snapshots = h->nb_snapshots;
	q->snapshots_offset = h->snapshots_offset;
	q->bitmaps = p->bitmaps;
	q->l1_size = h->l1_size;
	q->l1_offset = h->l1_table_offset;
	q->rt_offset = h->refcount_table_offset;
	q->rt_clusters = h->refcount_table_clusters;
	pthread_mutex_init(&q->flush_lock, NULL);
	pthread_mutex_init(&q->alloc_lock, NULL);
	pthread_mutex_init(&q->map_lock, NULL);
	pthread_mutex_init(&q->comp_lock, NULL);
	qcow2_set_limit(q, p->file_size);
	/* What a block device holds behind the clusters in use is unknown. */
	q->zero_from = q->img.file.blockdev ? UINT64_MAX : atomic_load(&q->limit);
}

static int qcow2_load_l1(struct qcow2 *q, struct hv_err *err)
{
	uint64_t bytes = q->l1_size * 8ull, off;
	uint32_t i;
	int ret;

	q->l1 = malloc(bytes + 8);
	q->l1_dirty = calloc(1, q->l1_size / 64 + 1);
	if (!q->l1 || !q->l1_dirty)
		return hv_err_set(err, -ENOMEM, "%s: out of memory", q->img.file.path);
	ret = blk_file_pread(&q->img.file, q->l1, bytes, q->l1_offset);
	if (ret)
		return hv_err_set(err, ret, "%s: cannot read the L1 table: %s", q->img.file.path,
				  strerror(-ret));
	for (i = 0; i < q->l1_size; i++) {
		q->l1[i] = be64toh(q->l1[i]);
		off = q->l1[i] & QCOW2_OFFSET_MASK;
		if (off & (q->cluster_size - 1) || (off && off >= atomic_load(&q->limit)))
			return BAD(err, &q->img.file, "L2 table %u is at %#llx, %s", i,
				   (unsigned long long)off, off & (q->cluster_size - 1) ?
				   "not at a cluster" : "outside of the file");
	}
	return 0;
}

int blk_qcow2_open(struct blk_file *file, bool readonly, struct blk_image **res,
		   struct blk_backing *backing, struct hv_err *err)
{
	struct parsed_header p = { 0 };
	struct qcow2 *q = NULL;
	int ret;

	ret = header_read(file, &p, err);
	if (!ret)
		ret = header_extensions(file, &p, err);
	if (!ret)
		ret = header_features(file, &p, readonly, err);
	if (!ret)
		ret = header_tables(file, &p, err);
	if (!ret)
		ret = header_backing(file, &p, backing, err);
	if (ret)
		goto out;
	q = calloc(1, sizeof(*q));
	if (!q) {
		ret = hv_err_set(err, -ENOMEM, "%s: out of memory", file->path);
		goto out;
	}
	q->img.file = *file;
	qcow2_setup(q, &p, readonly);
	ret = qcow2_load_l1(q, err);
	if (!ret)
		ret = qcow2_refcount_init(q, err);
	if (!ret && qcow2_l2_init(q))
		ret = hv_err_set(err, -ENOMEM, "%s: out of memory", file->path);
	if (!ret)
		*res = &q->img;
out:
	if (ret) {
		free(backing->name);
		backing->name = NULL;
		if (q)
			qcow2_free(&q->img);
	}
	free(p.cluster);
	return ret;
}

/* ---- before the first write ---- */

static int check_counted(struct qcow2 *q, const char *what, uint64_t off, uint64_t len,
			 struct hv_err *err)
{
	uint64_t c = off >> q->cluster_bits, end = qcow2_clusters(q, off + len), count;
	int ret;

	for (; c < end; c++) {
		ret = qcow2_refcount_get(q, c, &count);
		if (ret)
			return hv_err_set(err, ret, "%s: cannot read refcounts: %s",
					  q->img.file.path, strerror(-ret));
		if (!count)
			return BAD(err, &q->img.file,
				   "%s at %#llx is counted as free; try qemu-img check -r all", what,
				   (unsigned long long)(c << q->cluster_bits));
	}
	return 0;
}

/* What we may write next to must not look free, or we would give it to data. */
static int check_metadata(struct qcow2 *q, struct hv_err *err)
{
	uint64_t off;
	uint32_t i;
	int ret;

	ret = check_counted(q, "the header", 0, 1, err);
	if (!ret)
		ret = check_counted(q, "the L1 table", q->l1_offset, q->l1_size * 8ull, err);
	if (!ret)
		ret = check_counted(q, "the refcount table", q->rt_offset,
				    (uint64_t)q->rt_clusters << q->cluster_bits, err);
	for (i = 0; i < q->rt_entries && !ret; i++)
		if (q->rt[i])
			ret = check_counted(q, "a refcount block", q->rt[i], 1, err);
	for (i = 0; i < q->l1_size && !ret; i++) {
		off = q->l1[i] & QCOW2_OFFSET_MASK;
		if (off)
			ret = check_counted(q, "an L2 table", off, 1, err);
	}
	return ret;
}

/* On a block device, the end of what is in use says where tables can grow to. */
static int find_end(struct qcow2 *q, struct hv_err *err)
{
	uint64_t c = (uint64_t)q->rt_entries << q->rb_bits, count = 0;
	int ret = 0;

	while (c && !count && !ret) {
		if (!q->rt[(c - 1) >> q->rb_bits])
			c = (c - 1) >> q->rb_bits << q->rb_bits;
		else
			ret = qcow2_refcount_get(q, --c, &count);
	}
	q->file_end = (c + 1) << q->cluster_bits;
	return ret ? hv_err_set(err, ret, "%s: cannot read refcounts: %s", q->img.file.path,
				strerror(-ret)) : 0;
}

int blk_qcow2_start(struct blk_image *img, struct hv_err *err)
{
	struct qcow2 *q = to_qcow2(img);
	int ret = 0;

	if (img->readonly)
		return 0;
	if (img->file.blockdev)
		ret = find_end(q, err);
	if (!ret && atomic_load(&q->incompat) & QCOW2_INCOMPAT_DIRTY)
		ret = qcow2_repair_refcounts(q, err);
	if (!ret)
		ret = check_metadata(q, err);
	if (!ret && qcow2_bitmaps_mark(q))
		ret = hv_err_set(err, -EIO, "%s: cannot write to it", img->file.path);
	return ret;
}
