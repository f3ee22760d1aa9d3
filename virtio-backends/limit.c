// SPDX-License-Identifier: GPL-2.0-or-later
/* Token buckets; see limit.h. */
#include "limit.h"

#define NS_PER_S	1000000000ULL
#define BURSTS_PER_S	10

static void bucket_init(struct hv_bucket *b, uint64_t rate)
{
	if (rate > HV_LIMIT_MAX)
		rate = HV_LIMIT_MAX;
	b->rate = rate;
	b->capacity = rate / BURSTS_PER_S ? rate / BURSTS_PER_S : 1;
	b->tokens = (int64_t)b->capacity;
	b->filled_ns = 0;
}

static void bucket_fill(struct hv_bucket *b, uint64_t now)
{
	/* Another thread may have looked at the clock later and come here first. */
	uint64_t ns = now > b->filled_ns ? now - b->filled_ns : 0;
	uint64_t n = (uint64_t)((unsigned __int128)ns * b->rate / NS_PER_S);

	/* Less than one token: the time stays on the account. */
	if (!n)
		return;
	b->filled_ns = now;
	b->tokens = n > b->capacity - (uint64_t)b->tokens ? (int64_t)b->capacity :
							    b->tokens + (int64_t)n;
}

/* When the bucket has something again, or 0: now. */
static uint64_t bucket_wait(struct hv_bucket *b, uint64_t now)
{
	if (!b->rate)
		return 0;
	bucket_fill(b, now);
	if (b->tokens > 0)
		return 0;
	return now + (uint64_t)(((unsigned __int128)(1 - b->tokens) * NS_PER_S + b->rate - 1) /
				b->rate);
}

static void bucket_charge(struct hv_bucket *b, uint64_t n)
{
	/* A debt never exceeds what one request can cost, so this cannot overflow. */
	if (b->rate)
		b->tokens -= (int64_t)(n < HV_LIMIT_MAX ? n : HV_LIMIT_MAX);
}

void hv_limit_init(struct hv_limit *l, uint64_t ops, uint64_t bytes)
{
	pthread_mutex_init(&l->lock, NULL);
	bucket_init(&l->ops, ops);
	bucket_init(&l->bytes, bytes);
	l->active = ops || bytes;
}

void hv_limit_fini(struct hv_limit *l)
{
	pthread_mutex_destroy(&l->lock);
}

uint64_t hv_limit_wait(struct hv_limit *l, uint64_t now_ns)
{
	uint64_t ops, bytes;

	if (!l->active)
		return 0;
	pthread_mutex_lock(&l->lock);
	ops = bucket_wait(&l->ops, now_ns);
	bytes = bucket_wait(&l->bytes, now_ns);
	pthread_mutex_unlock(&l->lock);
	return ops > bytes ? ops : bytes;
}

void hv_limit_charge(struct hv_limit *l, uint64_t ops, uint64_t bytes)
{
	if (!l->active)
		return;
	pthread_mutex_lock(&l->lock);
	bucket_charge(&l->ops, ops);
	bucket_charge(&l->bytes, bytes);
	pthread_mutex_unlock(&l->lock);
}
