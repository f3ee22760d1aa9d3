/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_QCOW2_H
#define HV_QCOW2_H

#include <endian.h>
#include <string.h>

#include "../block_int.h"
#include "qcow2_defs.h"

/*
 * A qcow2 image.
 *
 * Locks, in this order:
 *   flush_lock   one flush at a time
 *   alloc_lock   held by whoever reads or changes tables with I/O: loading, allocation, flush
 *   map_lock     the cached L2 slices and the L1 table; held for look-ups, never across I/O
 * A change of L1 or L2 needs both alloc_lock and map_lock; either is enough for reading them.
 * Everything about refcounts is under alloc_lock alone. The locks of an image come before those of
 * its backing image.
 *
 * Metadata is written back, not through: changes stay in memory until the guest flushes, the cache
 * is full or the image is closed. flush.c has the order in which they are then written.
 */

/* A part of an L2 table: a page of it, or all of a smaller one. */
struct l2_slice {
	uint64_t index;			/* guest offset / bytes that a slice maps */
	struct l2_slice *hash_next;
	bool valid, dirty, used;	/* used: since the clock hand last passed */
	uint64_t *entries;		/* big endian, as on disk */
};

struct refcount_block {
	void *data;			/* big endian; NULL: not loaded */
	bool dirty;
	uint32_t lo, hi;		/* bytes that are, whole pages */
};

/* Clusters: allocated but not linked yet, or unlinked but not free yet. */
struct cluster_run {
	uint64_t first, count;		/* cluster numbers */
	struct cluster_run *next;
};

struct qcow2 {
	struct blk_image img;		/* first */

	/* Header, constant once open. */
	uint32_t version;
	uint32_t cluster_bits;
	uint64_t cluster_size;
	uint32_t refcount_order;
	uint8_t compression;
	uint64_t compat;
	uint64_t autoclear;
	uint32_t nb_snapshots;
	uint64_t snapshots_offset;
	struct qcow2_bitmaps_ext bitmaps;	/* host byte order; nb_bitmaps 0: none */
	bool lazy;

	pthread_mutex_t flush_lock, alloc_lock, map_lock;
	atomic_ullong flush_started;	/* number of flushes so far; changes under flush_lock */
	int flush_result;		/* of the last one; flush_lock */

	atomic_ullong incompat;
	atomic_bool broken;		/* metadata cannot be trusted: no more writes */
	atomic_bool meta_dirty;		/* a flush has more to do than fdatasync */
	uint64_t file_end;		/* alloc_lock: end of the file and of all we allocated */
	atomic_ullong limit;		/* file_end rounded up, for checks without lock */
	uint64_t zero_from;		/* alloc_lock: zeroes from here on, never written */

	/* L1 table, host byte order. */
	uint64_t *l1;
	uint32_t l1_size;
	uint64_t l1_offset;
	uint8_t *l1_dirty;		/* per 512 bytes of the table */
	bool l1_any_dirty;

	/* L2 slices. */
	uint32_t entry_words;		/* of 64 bits, of an L2 entry */
	uint32_t l2_bits;		/* log2(entries of a table) */
	uint32_t slice_bits;		/* log2(entries of a slice) */
	struct l2_slice **slices;	/* all */
	struct l2_slice **hash;
	uint32_t nslices, max_slices, hash_mask, hand, ndirty;

	/* Refcounts. */
	uint64_t *rt;			/* refcount table, host byte order */
	uint32_t rt_entries;
	uint64_t rt_offset;
	uint32_t rt_clusters;
	uint8_t *rt_dirty;		/* per 512 bytes of the table */
	bool rt_any_dirty, rt_moved;
	uint64_t rt_disk_offset;	/* where the header on disk says it is */
	uint32_t rt_disk_clusters;
	struct refcount_block *rb;	/* rt_entries */
	uint32_t rb_bits;		/* log2(refcounts in a block) */
	uint32_t rb_loaded, rb_hand;
	bool rb_any_dirty;
	uint64_t free_hint;		/* no free cluster below */
	struct cluster_run *reserved;
	struct cluster_run *unlinked;	/* refcount drops once the change is durable */
	uint64_t n_unlinked;

	/* The cluster decompressed last. */
	pthread_mutex_t comp_lock;
	uint64_t comp_entry;
	uint8_t *comp_data, *comp_in;
	size_t comp_in_size;
};

static inline struct qcow2 *to_qcow2(struct blk_image *img)
{
	return (struct qcow2 *)img;
}

static inline uint64_t qcow2_slice_span(const struct qcow2 *q)
{
	return 1ull << (q->slice_bits + q->cluster_bits);
}

static inline uint64_t qcow2_clusters(const struct qcow2 *q, uint64_t bytes)
{
	return (bytes >> q->cluster_bits) + !!(bytes & (q->cluster_size - 1));
}

/* What an L2 entry says. */
enum cluster_kind {
	CLUSTER_UNALLOCATED,
	CLUSTER_NORMAL,
	CLUSTER_ZERO,		/* offset 0: without a host cluster */
	CLUSTER_COMPRESSED,
	CLUSTER_BAD,
};

/* open.c */
int qcow2_mark_corrupt(struct qcow2 *q, const char *what, uint64_t value);
void qcow2_set_limit(struct qcow2 *q, uint64_t end);

/* l2.c: L1 table and L2 slices */
extern uint32_t qcow2_cache_bytes;	/* of L2 slices per image, at most; tests make it small */
int qcow2_l2_init(struct qcow2 *q);
void qcow2_l2_fini(struct qcow2 *q);
/* The cached slice that maps @off, NULL if it is not cached. alloc_lock or map_lock. */
struct l2_slice *qcow2_l2_cached(struct qcow2 *q, uint64_t off);
/* alloc_lock. *slice is NULL if there is no L2 table. */
int qcow2_l2_load(struct qcow2 *q, uint64_t off, struct l2_slice **slice);
/* alloc_lock. Like load; makes a table if there is none, and a copy of one that is shared. */
int qcow2_l2_load_for_write(struct qcow2 *q, uint64_t off, struct l2_slice **slice);
/* alloc_lock. */
void qcow2_l2_set(struct qcow2 *q, struct l2_slice *slice, uint32_t idx, uint64_t entry);
static inline uint32_t qcow2_l2_index(const struct qcow2 *q, uint64_t off)
{
	return (uint32_t)(off >> q->cluster_bits) & ((1u << q->slice_bits) - 1);
}
static inline uint64_t qcow2_l2_get(const struct l2_slice *slice, uint32_t idx)
{
	return be64toh(slice->entries[idx]);
}
enum cluster_kind qcow2_classify(struct qcow2 *q, uint64_t entry);
uint64_t qcow2_l1_entry(const struct qcow2 *q, uint64_t off);
/* Host offset of a slice; its table must exist. */
uint64_t qcow2_l2_slice_offset(const struct qcow2 *q, const struct l2_slice *slice);

/* refcount.c: refcount table and blocks; all under alloc_lock */
int qcow2_refcount_init(struct qcow2 *q, struct hv_err *err);
void qcow2_refcount_fini(struct qcow2 *q);
int qcow2_refcount_get(struct qcow2 *q, uint64_t cluster, uint64_t *count);
int qcow2_refcount_set(struct qcow2 *q, uint64_t cluster, uint64_t count);
int qcow2_refblock_load(struct qcow2 *q, uint64_t cluster, struct refcount_block **rb);
int qcow2_refblock_ensure(struct qcow2 *q, uint64_t cluster);
/* [lo, hi) of the block has changed. */
void qcow2_refblock_dirty(struct qcow2 *q, struct refcount_block *rb, uint64_t lo, uint64_t hi);
uint64_t qcow2_refblock_read(const struct qcow2 *q, const void *data, uint64_t cluster);
void qcow2_refblock_write(const struct qcow2 *q, void *data, uint64_t cluster, uint64_t count);

/* alloc.c: finding and giving back clusters; all under alloc_lock */
/*
 * Reserve 1 to @want adjacent free clusters. Their refcounts change when they are linked; give
 * them back with unreserve if they are not.
 */
int qcow2_reserve(struct qcow2 *q, uint64_t want, uint64_t *first, uint64_t *got);
/* Exactly @count, at the end of the file. */
int qcow2_reserve_at_end(struct qcow2 *q, uint64_t count, uint64_t *first);
void qcow2_unreserve(struct qcow2 *q, uint64_t first, uint64_t count);
/* The reserved clusters are in use from now on, with refcount 1. */
int qcow2_link(struct qcow2 *q, uint64_t first, uint64_t count);
/* A reference to @count clusters is gone; they become free after the next flush. */
int qcow2_unlink(struct qcow2 *q, uint64_t first, uint64_t count);
/* The same for whatever L2 entry @entry refers to. */
int qcow2_unlink_entry(struct qcow2 *q, uint64_t entry);
/* Drop the refcounts of all that was unlinked. */
int qcow2_apply_unlinked(struct qcow2 *q);
bool qcow2_runs_overlap(const struct cluster_run *list, uint64_t cluster, uint64_t *end);
/* Is @cluster one that the header points to? */
bool qcow2_cluster_is_vital(const struct qcow2 *q, uint64_t cluster);
void qcow2_alloc_fini(struct qcow2 *q);

/* flush.c */
int qcow2_flush(struct blk_image *img);
bool qcow2_flush_simple(struct blk_image *img);
/* alloc_lock: make room by writing all metadata. */
int qcow2_flush_meta(struct qcow2 *q, bool closing);
int qcow2_write_incompat(struct qcow2 *q, uint64_t incompat);

/* map.c, write.c, zero.c, compress.c */
int qcow2_map(struct blk_image *img, uint64_t off, uint64_t len, bool wait,
	      struct blk_extent *ext);
int qcow2_allocated(struct blk_image *img, uint64_t off, uint64_t len, bool *allocated,
		    uint64_t *n);
int qcow2_write(struct blk_image *img, uint64_t off, const struct iovec *iov, int iovcnt,
		uint64_t len);
int qcow2_discard(struct blk_image *img, uint64_t off, uint64_t len);
int qcow2_zero(struct blk_image *img, uint64_t off, uint64_t len, bool unmap);
int qcow2_read_compressed(struct blk_image *img, uint64_t entry, uint64_t off,
			  const struct iovec *iov, int iovcnt, uint64_t iov_off, uint64_t len);
void qcow2_compressed_extent(const struct qcow2 *q, uint64_t entry, uint64_t *host,
			     uint64_t *len);

/* bitmaps.c */
typedef int (*qcow2_range_fn)(void *opaque, const char *what, uint64_t off, uint64_t len);
/* All that valid bitmaps occupy in the file. */
int qcow2_bitmaps_walk(struct qcow2 *q, qcow2_range_fn fn, void *opaque);
/* Before the first write: mark all bitmaps as inconsistent, clear unknown autoclear bits. */
int qcow2_bitmaps_mark(struct qcow2 *q);

/* count.c: what refers to each cluster */
struct qcow2_counts {
	struct qcow2 *q;
	struct hv_err *err;
	const char *doing;		/* for messages: what fails if counting does */
	uint32_t *n;			/* references to each cluster */
	uint64_t clusters, room;
	bool drop;			/* references go away instead */
};
/* All zero; free(c->n) in the end, also after a failure. */
int qcow2_count_init(struct qcow2_counts *c, struct qcow2 *q, const char *doing,
		     struct hv_err *err);
/* Returns @ret with a message. */
int qcow2_count_fail(struct qcow2_counts *c, int ret, const char *what);
/* @what: what is wrong if the range is not in the file. */
int qcow2_count_range(struct qcow2_counts *c, const char *what, uint64_t off, uint64_t len);
/* All that an L1 table leads to; @be: it is in disk byte order. */
int qcow2_count_l1(struct qcow2_counts *c, const uint64_t *l1, uint32_t entries, bool be);
int qcow2_count_all(struct qcow2_counts *c);
/* A cluster behind all others, used once. */
int qcow2_count_append(struct qcow2_counts *c, uint64_t *cluster);

/* snapshot.c: internal snapshots */
struct qcow2_snapshot {
	uint64_t l1_offset;
	uint32_t l1_size;
	uint32_t date_sec, date_nsec;
	uint64_t vm_clock_nsec;
	uint64_t vm_state_size, disk_size;
	char *id, *name;
	uint8_t *extra;			/* as in the file */
	uint32_t extra_len;
};
struct qcow2_snapshots {
	struct qcow2_snapshot *snap;	/* with room for one more */
	uint32_t nr;
	uint64_t bytes;			/* of the table in the file */
};
int qcow2_snapshots_read(struct qcow2 *q, struct qcow2_snapshots *t, struct hv_err *err);
void qcow2_snapshots_free(struct qcow2_snapshots *t);
/* As a table for the file, to free(). */
int qcow2_snapshots_pack(const struct qcow2 *q, const struct qcow2_snapshot *snap, uint32_t nr,
			 uint8_t **data, uint64_t *len);
int qcow2_snapshot(struct blk_image *img, enum blk_snapshot_op op, const char *name,
		   struct hv_err *err);
int qcow2_snapshot_list(struct blk_image *img, struct blk_snapshot **list, unsigned int *nr,
			struct hv_err *err);

/*
 * shadow.c: a new state of the whole image in one step. flush_lock and alloc_lock, and no request
 * under way. Between begin and commit the caller changes what the new state is.
 */
struct qcow2_shadow {
	struct qcow2_counts c;		/* references in the new state */
	uint64_t *l1;			/* active L1 table; bit 63 does not matter */
	uint32_t l1_size;
	struct qcow2_snapshot *snaps;	/* with room for one more */
	uint32_t nr_snaps;
	uint64_t size;			/* of the disk */
	/* The rest is shadow.c's. */
	struct qcow2_snapshots old_snaps;
	uint8_t *old_used;		/* a bit for each cluster */
	uint8_t *l1_dirty;
	uint64_t old_clusters, hint;
	uint64_t l1_offset, snapshots_offset, rt_offset;
	uint64_t *rt;
	uint32_t rt_clusters, rt_entries;
};
int qcow2_shadow_begin(struct qcow2_shadow *s, struct qcow2 *q, const char *doing,
		       struct hv_err *err);
int qcow2_shadow_commit(struct qcow2_shadow *s);
/* After commit or instead of it, and after a begin that failed. */
void qcow2_shadow_end(struct qcow2_shadow *s);

/* resize.c, check.c */
int qcow2_resize(struct blk_image *img, uint64_t size, struct hv_err *err);
int qcow2_check(struct blk_image *img, struct blk_check_result *res, struct hv_err *err);

/* repair.c: rebuild the refcounts of an image that was not closed */
int qcow2_repair_refcounts(struct qcow2 *q, struct hv_err *err);

#endif
