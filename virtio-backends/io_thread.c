// SPDX-License-Identifier: GPL-2.0-or-later
/* Threads that run a loop; see io_thread.h. */
#include "io_thread.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

struct hv_io_thread {
	struct hv_loop *loop;
	pthread_t thread;
	sem_t running;
	char name[16];
};

static void io_thread_started(void *opaque)
{
	struct hv_io_thread *t = opaque;

	sem_post(&t->running);
}

static void *io_thread_main(void *opaque)
{
	struct hv_io_thread *t = opaque;

	hv_loop_run(t->loop);
	return NULL;
}

int hv_io_thread_start(const char *name, struct hv_io_thread **res)
{
	struct hv_io_thread *t = calloc(1, sizeof(*t));
	sigset_t all, old;
	int ret;

	if (!t)
		return -ENOMEM;
	snprintf(t->name, sizeof(t->name), "%s", name);
	sem_init(&t->running, 0, 0);
	ret = hv_loop_create(&t->loop);
	if (ret)
		goto fail;
	/* From the first round on, hv_loop_call() must see that a thread runs the loop. */
	ret = hv_loop_post(t->loop, io_thread_started, t);
	if (ret)
		goto fail;
	/* Signals are for the main and the vCPU threads; the new thread inherits this mask. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	ret = -pthread_create(&t->thread, NULL, io_thread_main, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret)
		goto fail;
	pthread_setname_np(t->thread, t->name);
	while (sem_wait(&t->running) < 0 && errno == EINTR)
		;
	*res = t;
	return 0;
fail:
	hv_loop_destroy(t->loop);
	sem_destroy(&t->running);
	free(t);
	return ret;
}

struct hv_loop *hv_io_thread_loop(struct hv_io_thread *t)
{
	return t->loop;
}

void hv_io_thread_stop(struct hv_io_thread *t)
{
	if (!t)
		return;
	hv_loop_stop(t->loop);
	pthread_join(t->thread, NULL);
	hv_loop_destroy(t->loop);
	sem_destroy(&t->running);
	free(t);
}
