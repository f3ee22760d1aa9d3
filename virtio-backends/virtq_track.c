// SPDX-License-Identifier: GPL-2.0-or-later
/* Chains in flight, kept for who comes after a crash; see virtq_track.h. */
#include "virtq_track.h"

#include <errno.h>
#include <stdlib.h>

/* In program order for whoever reads after our death; never torn. */
#define track_store(p, v)	__atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define track_load(p)		__atomic_load_n((p), __ATOMIC_ACQUIRE)

size_t virtq_track_bytes(uint16_t size)
{
	size_t bytes = sizeof(struct virtq_track) + size * sizeof(struct virtq_track_desc);

	return (bytes + VIRTQ_TRACK_ALIGN - 1) & ~(size_t)(VIRTQ_TRACK_ALIGN - 1);
}

void virtq_track_take(struct virtq_track *t, uint16_t head, uint64_t counter)
{
	track_store(&t->desc[head].counter, counter);
	track_store(&t->desc[head].inflight, 1);
}

void virtq_track_untake(struct virtq_track *t, uint16_t head)
{
	track_store(&t->desc[head].inflight, 0);
}

void virtq_track_give(struct virtq_track *t, uint16_t head)
{
	track_store(&t->desc[head].next, track_load(&t->last_batch_head));
	track_store(&t->last_batch_head, head);
}

void virtq_track_published(struct virtq_track *t, uint16_t size, uint16_t used_idx)
{
	uint16_t n = (uint16_t)(used_idx - track_load(&t->used_idx));
	uint16_t head = track_load(&t->last_batch_head);

	/* More than the queue has: the other side wrote nonsense. */
	for (; n && n <= size && head < size; n--) {
		track_store(&t->desc[head].inflight, 0);
		head = track_load(&t->desc[head].next);
	}
	track_store(&t->used_idx, used_idx);
}

struct taken {
	uint64_t counter;
	uint16_t head;
};

static int compare_taken(const void *a, const void *b)
{
	const struct taken *x = a, *y = b;

	if (x->counter != y->counter)
		return x->counter < y->counter ? -1 : 1;
	return (int)x->head - (int)y->head;
}

static void track_set_up(struct virtq_track *t, uint16_t entries, uint16_t used_idx)
{
	for (uint16_t i = 0; i < entries; i++)
		t->desc[i] = (struct virtq_track_desc){ 0 };
	t->features = 0;
	t->desc_num = entries;
	t->last_batch_head = 0;
	t->used_idx = used_idx;
	track_store(&t->version, VIRTQ_TRACK_VERSION);
}

int virtq_track_recover(struct virtq_track *t, uint16_t entries, uint16_t size, uint16_t used_idx,
			uint16_t *heads, uint64_t *counter)
{
	uint16_t version = track_load(&t->version);
	struct taken *taken;
	int n = 0;

	*counter = 0;
	if (!version) {
		track_set_up(t, entries, used_idx);
		return 0;
	}
	if (version != VIRTQ_TRACK_VERSION || t->desc_num != entries || size > entries)
		return -EINVAL;
	taken = malloc(size * sizeof(*taken));
	if (!taken)
		return -ENOMEM;
	virtq_track_published(t, size, used_idx);
	for (uint16_t i = 0; i < size; i++) {
		if (!track_load(&t->desc[i].inflight))
			continue;
		taken[n].counter = track_load(&t->desc[i].counter);
		taken[n++].head = i;
	}
	qsort(taken, (size_t)n, sizeof(*taken), compare_taken);
	for (int i = 0; i < n; i++)
		heads[i] = taken[i].head;
	if (n)
		*counter = taken[n - 1].counter + 1;
	free(taken);
	return n;
}
