/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_BLOCK_INT_H
#define HV_BLOCK_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "block.h"

/*
 * Inside of the block layer.
 *
 *   queue.c    one per submitting thread: tries the fast path (map without waiting, asynchronous
 *              I/O through the queue's own ring), else hands the request to a worker
 *   block.c    images: open by name and format, backing chains, close
 *   slow.c     requests on workers, and synchronous access for the formats
 *   file.c     the only place that touches host files; lock.c excludes other users of them
 *   track.c    which guest ranges are in flight
 *   pool.c     the workers
 *   raw.c, qcow2/   formats
 */

/* ---- host files ---- */

enum blk_file_op {
	BLK_FILE_WRITE,
	BLK_FILE_ZERO,
	BLK_FILE_TRUNCATE,
	BLK_FILE_SYNC_BEGIN,
	BLK_FILE_SYNC,		/* done: what came before the last begin is durable */
};

/*
 * Sees every change of a file just before it is made, on whatever thread, and may let it fail by
 * returning -errno; for tests.
 */
typedef int (*blk_file_trace_fn)(void *opaque, enum blk_file_op op, uint64_t off,
				  const struct iovec *iov, int iovcnt, uint64_t len);

struct blk_file {
	int fd;
	char *path;
	bool writable;
	bool blockdev;
	uint64_t dev, ino;
	int sync_failed;		/* atomic; see blk_file_sync_result() */
	blk_file_trace_fn trace;	/* set: all I/O is synchronous, on workers */
	void *trace_opaque;
};

int blk_file_open(struct blk_file *f, const char *path, bool writable, struct hv_err *err);
void blk_file_close(struct blk_file *f);
int64_t blk_file_size(const struct blk_file *f);
/* Whole transfers or -errno; what lies behind the end of the file reads as zeroes. */
int blk_file_pread(struct blk_file *f, void *buf, size_t len, uint64_t off);
int blk_file_pwrite(struct blk_file *f, const void *buf, size_t len, uint64_t off);
/* Like the above; @iov is used up. */
int blk_file_preadv(struct blk_file *f, struct iovec *iov, int iovcnt, uint64_t off);
int blk_file_pwritev(struct blk_file *f, struct iovec *iov, int iovcnt, uint64_t off);
int blk_file_sync(struct blk_file *f);
/*
 * The kernel reports that it lost data once, to one caller, and then forgets. We do not: returns
 * what a sync that ended with @ret (0 or -errno) is worth.
 */
int blk_file_sync_result(struct blk_file *f, int ret);
/* Start and wait for write-back of dirty pages: makes a following sync short, is none itself. */
int blk_file_writeback(struct blk_file *f);
int blk_file_truncate(struct blk_file *f, uint64_t size);
/* Deallocate: the range reads as zeroes afterwards. -EOPNOTSUPP where the host cannot do it. */
int blk_file_punch(struct blk_file *f, uint64_t off, uint64_t len);
/* Zero, keeping the space allocated where possible; always works (falls back to writing). */
int blk_file_zero(struct blk_file *f, uint64_t off, uint64_t len);

/* Exclude other writers as QEMU does; see lock.c. */
int blk_file_lock(struct blk_file *f, struct hv_err *err);

/* ---- iovec helpers ---- */

uint64_t blk_iov_len(const struct iovec *iov, int iovcnt);
/* Put [off, off + len) of @src into @dst (room for as many entries); returns their number. */
int blk_iov_slice(struct iovec *dst, const struct iovec *src, int iovcnt, uint64_t off,
		  uint64_t len);
void blk_iov_zero(const struct iovec *iov, int iovcnt, uint64_t off, uint64_t len);
void blk_iov_from_buf(const struct iovec *iov, int iovcnt, uint64_t off, const void *buf,
		      uint64_t len);
/* Drop @n bytes from the front; adjusts both arguments. */
void blk_iov_advance(struct iovec **iov, int *iovcnt, uint64_t n);

/* ---- ranges in flight ---- */

struct blk_range {
	uint64_t start, end;
	uint64_t ticket;
	bool excl;
	struct blk_range *next, **pprev;
};

struct blk_tracker {
	pthread_mutex_t lock;
	pthread_cond_t gone;
	struct blk_range *head;
	uint64_t next_ticket;
	unsigned int n_excl;
	unsigned int waiters;
};

void blk_tracker_init(struct blk_tracker *t);
void blk_tracker_fini(struct blk_tracker *t);
/* Enter as shared unless a slow request has the range or waits for it: then false. */
bool blk_range_try(struct blk_tracker *t, struct blk_range *r, uint64_t start, uint64_t end);
/* Wait for older ranges that overlap (of two shared ones neither waits). Workers only. */
void blk_range_enter(struct blk_tracker *t, struct blk_range *r, uint64_t start, uint64_t end,
		     bool excl);
void blk_range_leave(struct blk_tracker *t, struct blk_range *r);

/* ---- workers ---- */

struct blk_job {
	void (*fn)(struct blk_job *job);
	struct blk_job *next;
};

struct blk_pool;
int blk_pool_create(struct blk_pool **pool);
void blk_pool_destroy(struct blk_pool *pool);
void blk_pool_run(struct blk_pool *pool, struct blk_job *job);

/* ---- images ---- */

enum blk_extent_kind {
	BLK_EXT_ZERO,
	BLK_EXT_DATA,		/* at @host in @file */
	BLK_EXT_COMPRESSED,	/* in one cluster of @img: @host is its table entry */
};

struct blk_extent {
	enum blk_extent_kind kind;
	bool in_place;		/* DATA may be overwritten where it is */
	struct blk_file *file;
	struct blk_image *img;
	uint64_t host;
	uint64_t len;
};

struct blk_driver {
	const char *name;
	void (*free)(struct blk_image *img);
	/* Make everything durable and the image clean. */
	int (*close)(struct blk_image *img);
	/*
	 * The first extent of [off, off + len), which lies inside the image. -EAGAIN: cannot say
	 * without waiting for I/O, which only happens if !@wait.
	 */
	int (*map)(struct blk_image *img, uint64_t off, uint64_t len, bool wait,
		   struct blk_extent *ext);
	/* The rest runs on workers, with the range held. */
	int (*read_compressed)(struct blk_image *img, uint64_t entry, uint64_t off,
			       const struct iovec *iov, int iovcnt, uint64_t iov_off,
			       uint64_t len);
	int (*write)(struct blk_image *img, uint64_t off, const struct iovec *iov, int iovcnt,
		     uint64_t len);
	int (*discard)(struct blk_image *img, uint64_t off, uint64_t len);
	int (*zero)(struct blk_image *img, uint64_t off, uint64_t len, bool unmap);
	int (*flush)(struct blk_image *img);
	/* Is fdatasync() of the file all that a flush has to do? */
	bool (*flush_simple)(struct blk_image *img);
	/* Is the start of [off, off + len) in this image, or in what is below it? For *n bytes. */
	int (*allocated)(struct blk_image *img, uint64_t off, uint64_t len, bool *allocated,
			 uint64_t *n);
	/* With no request under way. */
	int (*resize)(struct blk_image *img, uint64_t size, struct hv_err *err);
	/* Optional. */
	int (*snapshot)(struct blk_image *img, enum blk_snapshot_op op, const char *name,
			struct hv_err *err);
	int (*snapshot_list)(struct blk_image *img, struct blk_snapshot **list, unsigned int *nr,
			     struct hv_err *err);
	int (*check)(struct blk_image *img, struct blk_check_result *res, struct hv_err *err);
};

struct blk_image {
	const struct blk_driver *drv;
	struct blk_file file;
	uint64_t size;
	uint64_t align;			/* cluster size: what ranges in flight are rounded to */
	bool readonly;
	bool outlives_process;		/* see struct blk_open_opts */
	bool serialise;			/* requests must go through the tracker */
	struct blk_image *backing;	/* owned; read-only */
	struct blk_tracker tracker;
	struct blk_pool *pool;		/* of the image at the top */
	atomic_uint queues;
};

/* Formats: fill in an image whose file is open and locked. They free nothing of *@img's base. */
int blk_raw_open(struct blk_file *file, bool readonly, struct blk_image **img,
		 struct hv_err *err);
struct blk_backing {
	char *name;			/* as the image says; NULL: none */
	enum blk_format format;		/* PROBE: the image does not say */
};
int blk_qcow2_open(struct blk_file *file, bool readonly, struct blk_image **img,
		   struct blk_backing *backing, struct hv_err *err);
/* A new file @path over @below; -EEXIST if there is one. */
int blk_qcow2_create_overlay(const char *path, const struct blk_image *below, struct hv_err *err);
/* Second step, with img->backing in place; the first that may write. */
int blk_qcow2_start(struct blk_image *img, struct hv_err *err);

/* ---- synchronous access, on workers (slow.c) ---- */

int blk_read_sync(struct blk_image *img, uint64_t off, const struct iovec *iov, int iovcnt,
		  uint64_t len);
int blk_read_buf(struct blk_image *img, uint64_t off, void *buf, uint64_t len);
int blk_request_sync(struct blk_image *img, struct blk_req *req);

/* ---- asynchronous I/O engines ---- */

struct blk_ctx;

/* One transfer to or from one file. */
struct blk_io {
	struct blk_ctx *ctx;
	struct blk_file *file;
	enum blk_op op;			/* READ, WRITE or FLUSH */
	bool dsync;
	struct iovec *iov;
	int iovcnt;
	uint64_t off, left;
	int ret;
	struct blk_io *next;
	struct blk_job job;
};

struct blk_aio;
struct blk_aio_ops {
	const char *name;
	int (*create)(struct blk_queue *q, struct blk_aio **aio);
	void (*destroy)(struct blk_aio *aio);
	void (*submit)(struct blk_aio *aio, struct blk_io *io);
	void (*kick)(struct blk_aio *aio);
	/* Handle what has completed: blk_io_done() for each. */
	void (*reap)(struct blk_aio *aio);
	int (*fd)(struct blk_aio *aio);	/* to wait on, -1: completes through the queue */
};

extern const struct blk_aio_ops blk_aio_uring, blk_aio_pool;
/* Engine of new queues; NULL: io_uring, the pool where the host does not have it. For tests. */
extern const struct blk_aio_ops *blk_aio_force;

/* For engines: the queue's thread only. */
void blk_io_done(struct blk_io *io, int ret);
/* For engines whose work happens on other threads: complete @io on the queue's thread. */
void blk_io_done_remote(struct blk_io *io, int ret);
struct blk_pool *blk_queue_pool(struct blk_queue *q);

#endif
