// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest ranges in flight. Requests that only move data of clusters whose mapping does not change
 * share a range; those that change mappings have theirs alone. Order is by ticket: a request waits
 * only for older ones, so there is no cycle.
 */
#include "block_int.h"

void blk_tracker_init(struct blk_tracker *t)
{
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->gone, NULL);
	t->head = NULL;
	t->next_ticket = 0;
	t->n_excl = 0;
	t->waiters = 0;
}

void blk_tracker_fini(struct blk_tracker *t)
{
	pthread_cond_destroy(&t->gone);
	pthread_mutex_destroy(&t->lock);
}

static bool range_overlap(const struct blk_range *a, const struct blk_range *b)
{
	return a->start < b->end && b->start < a->end;
}

static void range_link(struct blk_tracker *t, struct blk_range *r)
{
	r->ticket = t->next_ticket++;
	r->next = t->head;
	r->pprev = &t->head;
	if (t->head)
		t->head->pprev = &r->next;
	t->head = r;
	t->n_excl += r->excl;
}

bool blk_range_try(struct blk_tracker *t, struct blk_range *r, uint64_t start, uint64_t end)
{
	struct blk_range *o;
	bool ok = true;

	r->start = start;
	r->end = end;
	r->excl = false;
	pthread_mutex_lock(&t->lock);
	if (t->n_excl) {
		for (o = t->head; o && ok; o = o->next)
			ok = !(o->excl && range_overlap(o, r));
	}
	if (ok)
		range_link(t, r);
	pthread_mutex_unlock(&t->lock);
	return ok;
}

static bool range_must_wait(struct blk_tracker *t, struct blk_range *r)
{
	struct blk_range *o;

	for (o = r->next; o; o = o->next)	/* newest first: those behind are older */
		if ((o->excl || r->excl) && range_overlap(o, r))
			return true;
	return false;
}

void blk_range_enter(struct blk_tracker *t, struct blk_range *r, uint64_t start, uint64_t end,
		     bool excl)
{
	r->start = start;
	r->end = end;
	r->excl = excl;
	pthread_mutex_lock(&t->lock);
	range_link(t, r);
	while (range_must_wait(t, r)) {
		t->waiters++;
		pthread_cond_wait(&t->gone, &t->lock);
		t->waiters--;
	}
	pthread_mutex_unlock(&t->lock);
}

void blk_range_leave(struct blk_tracker *t, struct blk_range *r)
{
	bool wake;

	pthread_mutex_lock(&t->lock);
	*r->pprev = r->next;
	if (r->next)
		r->next->pprev = r->pprev;
	t->n_excl -= r->excl;
	wake = t->waiters != 0;
	pthread_mutex_unlock(&t->lock);
	if (wake)
		pthread_cond_broadcast(&t->gone);
}
