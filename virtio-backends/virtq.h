/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VIRTQ_H
#define HV_VIRTQ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "guest_mem.h"

/*
 * Split virtqueues, device side (virtio 1.2, 2.7), with indirect descriptors and event index.
 *
 * Everything in the rings is written by the guest while we look: each field is read once into a
 * local and checked before use. A violation marks the queue broken, reports it once through
 * virtio_dev_fail() and makes all later virtq_pop() return -EIO.
 *
 * One thread at a time uses a started queue (the loop that the model chose).
 */
struct virtio_dev;
struct vring_desc;
struct vring_avail;
struct vring_used;
struct virtq_track;

#define VIRTQ_MAX_SIZE	1024

struct virtq {
	struct virtio_dev *dev;
	unsigned int index;
	uint16_t max_size;

	/* As the driver set it up; dev->lock, and constant while the device is started. */
	uint16_t size;
	bool enabled;
	uint64_t desc_gpa, avail_gpa, used_gpa;

	/* eventfd that a driver's notification signals. Owned by the queue. */
	int kick_fd;

	/* From virtq_start() on; only the queue's loop touches these. */
	bool started;
	bool broken;
	bool event_idx, indirect;
	uint16_t last_avail;	/* next avail ring index to take */
	uint16_t used_idx;	/* next used ring index to write */
	uint16_t published;	/* used index that the driver can see */
	uint16_t signalled_used;	/* used index when we last considered an interrupt */
	bool signalled_valid;
	unsigned int inflight;	/* popped and not yet pushed; never above size */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	struct iovec *iov;	/* scratch for virtq_pop() */
	unsigned int iov_cap;

	/*
	 * Where it is kept which chains are in flight; NULL: nowhere. What was in flight when
	 * another process died is taken before all others: replay[replay_pos, nr_replay).
	 */
	struct virtq_track *track;
	uint64_t track_counter;
	uint16_t *replay;
	uint16_t nr_replay, replay_pos;
	uint16_t replay_end;	/* last_avail behind them */

	uint64_t stat_pops, stat_interrupts;	/* written by the loop only */
};

/* A chain of buffers from the driver. */
struct virtq_chain {
	uint16_t head;
	unsigned int out_num, in_num;	/* iov[0, out_num) we read, the in_num after it we write */
	uint64_t out_len, in_len;	/* bytes in each */
	struct iovec *iov;		/* the queue's scratch space: valid until the next pop */
};

/*
 * Take the next chain: 1 and @c, 0 if there is none, -EIO if the queue is broken.
 * Zero-length descriptors are left out of iov.
 */
int virtq_pop(struct virtq *vq, struct virtq_chain *c);
/* Give back the chain that was popped last, untouched; only with nothing popped after it. */
void virtq_unpop(struct virtq *vq);
/* Read a chain again that was popped and not pushed yet: 1 and @c, -EIO if the queue is broken. */
int virtq_retake(struct virtq *vq, uint16_t head, struct virtq_chain *c);
/* Put a chain into the used ring; @written is the number of bytes we wrote into it. */
void virtq_push(struct virtq *vq, uint16_t head, uint32_t written);
/* Make what was pushed visible and interrupt the driver if it wants that. */
void virtq_flush(struct virtq *vq);

/*
 * Notifications from the driver. While processing in a loop, disable them; enable_kicks() returns
 * true if chains arrived meanwhile, in which case processing must go on.
 */
void virtq_disable_kicks(struct virtq *vq);
bool virtq_enable_kicks(struct virtq *vq);
/* Consume the signal of kick_fd. */
void virtq_clear_kick(struct virtq *vq);

/* Used by virtio.c. */
int virtq_init(struct virtq *vq, struct virtio_dev *dev, unsigned int index, uint16_t max_size);
void virtq_fini(struct virtq *vq);
void virtq_reset(struct virtq *vq);
/* Map the rings; -EINVAL (and the device fails) if they are not in RAM or misaligned. */
int virtq_start(struct virtq *vq, bool event_idx, bool indirect);
void virtq_stop(struct virtq *vq);

/*
 * Keep track in @track, memory for @entries, and take up what is in flight there: after
 * virtq_pop() of those, the queue goes on behind them. Stopped; the rings are set up. @used_idx
 * is what the used ring says. NULL: no more. -EINVAL: the memory is of another queue.
 */
int virtq_set_track(struct virtq *vq, struct virtq_track *track, uint16_t entries,
		    uint16_t used_idx);
/* Another eventfd for the driver's notifications; the queue owns it. Stopped. */
void virtq_set_kick_fd(struct virtq *vq, int fd);

/* Copy between a chain's buffers and memory; returns the bytes copied (may be fewer than len). */
size_t virtq_iov_to_buf(const struct iovec *iov, unsigned int n, size_t off, void *buf, size_t len);
size_t virtq_iov_from_buf(const struct iovec *iov, unsigned int n, size_t off, const void *buf,
			  size_t len);

#endif
