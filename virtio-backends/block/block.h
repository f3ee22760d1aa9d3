/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_BLOCK_H
#define HV_BLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "../loop.h"
#include "../util/err.h"

/*
 * The block layer: disk images (raw, qcow2 with backing chains) as arrays of bytes that can be
 * read, written, discarded and flushed asynchronously from several queues at once.
 */
struct blk_image;
struct blk_queue;

enum blk_format { BLK_FORMAT_PROBE, BLK_FORMAT_RAW, BLK_FORMAT_QCOW2 };

struct blk_open_opts {
	const char *filename;
	/*
	 * PROBE looks at the magic number; a raw image must be named raw to be opened for writing.
	 */
	enum blk_format format;
	bool readonly;
	/*
	 * What was answered outlives this process even if nobody flushes or closes: requests that
	 * change tables are answered when those are in the file, in the order of a flush.
	 */
	bool outlives_process;
};

/* Returns 0 and the image, or -errno with a one-line message naming the file and the reason. */
int blk_open(const struct blk_open_opts *opts, struct blk_image **img, struct hv_err *err);
/* All queues must be gone. Flushes and marks the image clean; -errno if that failed. */
int blk_close(struct blk_image *img);

uint64_t blk_size(const struct blk_image *img);		/* guest-visible bytes */
bool blk_is_readonly(const struct blk_image *img);
uint32_t blk_cluster_size(const struct blk_image *img);	/* discard granularity hint, bytes */
const char *blk_filename(const struct blk_image *img);
const char *blk_format_name(const struct blk_image *img);	/* "raw", "qcow2" */
uint64_t blk_allocated(const struct blk_image *img);	/* what its file takes, bytes */

/*
 * Changes of the whole image. They wait for requests under way; @img is open for writing. Returns 0
 * or -errno with a message, and then nothing has changed. Any thread but that of a queue.
 */
enum blk_snapshot_op { BLK_SNAPSHOT_CREATE, BLK_SNAPSHOT_APPLY, BLK_SNAPSHOT_DELETE };

/*
 * Internal snapshots; @name: for apply and delete also an ID. Apply may change the size of the
 * disk; nobody may be using it.
 */
int blk_snapshot(struct blk_image *img, enum blk_snapshot_op op, const char *name,
		 struct hv_err *err);
/* Grow to @size bytes (whole sectors). */
int blk_resize(struct blk_image *img, uint64_t size, struct hv_err *err);

/*
 * Put a new overlay, the file @path, on top of *@img, which is read-only from then on and belongs
 * to it. All queues are idle; blk_queue_set_image() moves them to the new *@img. On failure all is
 * as before and there is no such file.
 */
int blk_snapshot_external(struct blk_image **img, const char *path, struct hv_err *err);

struct blk_snapshot {
	char id[32], name[256];
	uint64_t vm_state_size, disk_size, vm_clock_nsec;
	uint32_t date_sec, date_nsec;
};
/* The caller frees *list. */
int blk_snapshot_list(struct blk_image *img, struct blk_snapshot **list, unsigned int *nr,
		      struct hv_err *err);

struct blk_check_result {
	uint64_t errors;	/* what can lose data */
	uint64_t leaks;		/* clusters that are counted more often than used */
};
/* Only what is on disk: of an image that is not in use, or just flushed. */
int blk_check(struct blk_image *img, struct blk_check_result *res, struct hv_err *err);

enum blk_op { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD, BLK_WRITE_ZEROES };

#define BLK_REQ_UNMAP	(1u << 0)	/* WRITE_ZEROES may deallocate */
#define BLK_REQ_FUA	(1u << 1)	/* WRITE is durable when it completes */

/* A request belongs to the caller and must stay in place until done() was called. */
struct blk_req {
	enum blk_op op;
	uint32_t flags;
	uint64_t offset;	/* bytes; offset + len must lie inside the image, else -EINVAL */
	uint64_t len;		/* bytes; READ/WRITE: equals the sum over iov */
	const struct iovec *iov;
	int iovcnt;
	/* Called exactly once on the queue's loop; ret is 0 or -errno (EIO, ENOSPC, EROFS, ...). */
	void (*done)(struct blk_req *req, int ret);
	void *opaque;
	/* For the block layer while the request is in flight. */
	struct {
		void *ptr[4];
		uint64_t val[4];
	} priv;
};

/*
 * A queue submits from one thread, the one that runs @loop, and completes there. Requests of one
 * or of several queues may complete in any order; a FLUSH covers the writes that completed before
 * it was submitted.
 */
int blk_queue_create(struct blk_image *img, struct hv_loop *loop, struct blk_queue **q,
		     struct hv_err *err);
/* The queue must be idle. */
void blk_queue_destroy(struct blk_queue *q);
/* The queue is idle; its thread. */
void blk_queue_set_image(struct blk_queue *q, struct blk_image *img);
void blk_submit(struct blk_queue *q, struct blk_req *req);
/* Tell the queue that a batch is complete; requests may be held back until this is called. */
void blk_kick(struct blk_queue *q);
unsigned int blk_inflight(const struct blk_queue *q);

#endif
