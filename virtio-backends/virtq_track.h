/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VIRTQ_TRACK_H
#define HV_VIRTQ_TRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Which chains of a queue are in flight, in memory that outlives the process that works on them:
 * who comes after a crash does what was begun and not told to the driver, and nothing else. The
 * layout is that of the vhost-user specification ("Inflight I/O tracking", split virtqueues), so
 * that any front end can keep the memory.
 *
 * The order of the stores is what makes it right at every point at which the process may die:
 * - take: the counter of the chain, then its flag. Until the flag is set the chain was never
 *   taken;
 * - give: the chain joins the batch (next, then last_batch_head). Then the used ring's index says
 *   that all of the batch is done; then the flags of the batch are cleared; then used_idx
 *   follows. If used_idx is not the ring's index, the batch may still have flags that mean
 *   nothing any more.
 *
 * The other side can write here too: indices are checked, and nothing here decides more than
 * which chains of the guest's are worked on.
 */
struct virtq_track_desc {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next;		/* in the batch */
	uint64_t counter;	/* order of taking */
};

struct virtq_track {
	uint64_t features;	/* none are defined */
	uint16_t version;	/* 0: not in use yet */
	uint16_t desc_num;
	uint16_t last_batch_head;
	uint16_t used_idx;
	struct virtq_track_desc desc[];
};

_Static_assert(sizeof(struct virtq_track_desc) == 16, "vhost-user, DescStateSplit");
_Static_assert(offsetof(struct virtq_track_desc, next) == 6, "vhost-user, DescStateSplit");
_Static_assert(offsetof(struct virtq_track_desc, counter) == 8, "vhost-user, DescStateSplit");
_Static_assert(sizeof(struct virtq_track) == 16, "vhost-user, QueueRegionSplit");
_Static_assert(offsetof(struct virtq_track, used_idx) == 14, "vhost-user, QueueRegionSplit");

#define VIRTQ_TRACK_VERSION	1
#define VIRTQ_TRACK_ALIGN	64

/* Bytes for a queue of @size entries; a multiple of VIRTQ_TRACK_ALIGN. */
size_t virtq_track_bytes(uint16_t size);

/*
 * What a queue of @size entries, whose used ring is at @used_idx, has in flight: fills @heads
 * (room for @size) in the order in which they were taken, and *@counter with the next one. The
 * memory is one for @entries, at least @size. Returns the number of heads or -EINVAL: the memory
 * is of another queue. Memory of zeroes is set up.
 */
int virtq_track_recover(struct virtq_track *t, uint16_t entries, uint16_t size, uint16_t used_idx,
			uint16_t *heads, uint64_t *counter);

/* Heads are below the queue's size. */
void virtq_track_take(struct virtq_track *t, uint16_t head, uint64_t counter);
/* As if it had never been taken. */
void virtq_track_untake(struct virtq_track *t, uint16_t head);
void virtq_track_give(struct virtq_track *t, uint16_t head);
/* The used ring's index is @used_idx since now. */
void virtq_track_published(struct virtq_track *t, uint16_t size, uint16_t used_idx);

#endif
