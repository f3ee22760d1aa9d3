/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_LIMIT_H
#define HV_LIMIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "loop.h"

/*
 * A limit on the rate of requests (or packets) and of bytes: a token bucket each, filled at the
 * rate and holding as much as a tenth of a second's worth. Work may begin while both buckets have
 * something, and may take more than they have: the debt is waited for afterwards, so that one
 * request larger than a bucket passes. Shared by the queues of a device; thread-safe.
 */
struct hv_bucket {
	uint64_t rate;		/* per second; 0: no limit */
	uint64_t capacity;
	int64_t tokens;		/* negative: debt */
	uint64_t filled_ns;
};

struct hv_limit {
	bool active;
	pthread_mutex_t lock;
	struct hv_bucket ops, bytes;
};

/* Rates per second, at most HV_LIMIT_MAX; 0: no limit. */
#define HV_LIMIT_MAX	(1ULL << 40)
void hv_limit_init(struct hv_limit *l, uint64_t ops, uint64_t bytes);
void hv_limit_fini(struct hv_limit *l);
/* 0: work may begin now; else the time (hv_loop_now_ns()) at which to ask again. */
uint64_t hv_limit_wait(struct hv_limit *l, uint64_t now_ns);
/* The same for now, without looking at the clock if there is no limit. */
static inline uint64_t hv_limit_wait_now(struct hv_limit *l)
{
	return l->active ? hv_limit_wait(l, hv_loop_now_ns()) : 0;
}
/* What was begun cost this much. */
void hv_limit_charge(struct hv_limit *l, uint64_t ops, uint64_t bytes);

#endif
