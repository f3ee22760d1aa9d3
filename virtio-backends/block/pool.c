// SPDX-License-Identifier: GPL-2.0-or-later
/* Worker threads of an image: started when there is work, gone with the image. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "block_int.h"

#define POOL_MAX_THREADS	8

struct blk_pool {
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct blk_job *head, **tail;
	unsigned int queued, idle, nthreads;
	bool stop;
	pthread_t threads[POOL_MAX_THREADS];
};

static void *pool_thread(void *arg)
{
	struct blk_pool *pool = arg;
	struct blk_job *job;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		while (!pool->head && !pool->stop) {
			pool->idle++;
			pthread_cond_wait(&pool->work, &pool->lock);
			pool->idle--;
		}
		job = pool->head;
		if (!job)
			break;
		pool->head = job->next;
		if (!pool->head)
			pool->tail = &pool->head;
		pool->queued--;
		pthread_mutex_unlock(&pool->lock);
		job->fn(job);
		pthread_mutex_lock(&pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* The process's signals are for its main thread. Called with the lock held. */
static int pool_spawn(struct blk_pool *pool)
{
	sigset_t all, old;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&pool->threads[pool->nthreads], NULL, pool_thread, pool);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret)
		return -ret;
	pthread_setname_np(pool->threads[pool->nthreads], "hvm-blk-worker");
	pool->nthreads++;
	return 0;
}

int blk_pool_create(struct blk_pool **res)
{
	struct blk_pool *pool = calloc(1, sizeof(*pool));
	int ret;

	if (!pool)
		return -ENOMEM;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pool->tail = &pool->head;
	/* The first at once: then a job can always be run by somebody. */
	pthread_mutex_lock(&pool->lock);
	ret = pool_spawn(pool);
	pthread_mutex_unlock(&pool->lock);
	if (ret) {
		blk_pool_destroy(pool);
		return ret;
	}
	*res = pool;
	return 0;
}

void blk_pool_destroy(struct blk_pool *pool)
{
	unsigned int i;

	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (i = 0; i < pool->nthreads; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

void blk_pool_run(struct blk_pool *pool, struct blk_job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&pool->lock);
	*pool->tail = job;
	pool->tail = &job->next;
	pool->queued++;
	if (pool->queued > pool->idle && pool->nthreads < POOL_MAX_THREADS)
		pool_spawn(pool);	/* else one of the present threads gets to it */
	pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
}
