// SPDX-License-Identifier: GPL-2.0-or-later
/* The event loop; see loop.h. */
#include "loop.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S	1000000000ULL
#define EVENTS_PER_ROUND	32

struct hv_loop_fd {
	struct hv_loop *loop;
	int fd;
	bool dead;		/* deleted: freed after the round */
	hv_loop_fd_fn fn;
	void *opaque;
	struct hv_loop_fd *next;	/* all watches, or dead ones */
	struct hv_loop_fd **pprev;
};

struct hv_loop_timer {
	struct hv_loop *loop;
	bool armed, dead;
	uint64_t deadline;
	hv_loop_fn fn;
	void *opaque;
	struct hv_loop_timer *next;	/* armed ones, earliest first; or dead ones */
	struct hv_loop_timer *all_next, **all_pprev;
};

struct post {
	struct post *next;
	hv_loop_fn fn;
	void *opaque;
};

struct hv_loop {
	int epfd;
	int wake_fd;		/* eventfd: posted work or stop */
	int timer_fd;
	atomic_bool stop;

	/* The loop's thread only. */
	struct hv_loop_fd *fds, *dead_fds;
	struct hv_loop_timer *timers;	/* armed */
	struct hv_loop_timer *all_timers, *dead_timers;
	uint64_t programmed;		/* deadline in timer_fd, 0: none */
	struct hv_loop_deferred *deferred, **deferred_tail;
	unsigned int depth;		/* nesting of run_once; the dead are freed at depth 0 */

	pthread_mutex_t lock;		/* the fields below */
	struct post *posts, **posts_tail;
	pthread_t owner;
	bool owned;			/* a thread runs the loop, or will go on doing so */
};

uint64_t hv_loop_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static int loop_epoll_add(struct hv_loop *loop, int fd, uint32_t events, void *ptr)
{
	struct epoll_event ev = { .events = events, .data.ptr = ptr };

	return epoll_ctl(loop->epfd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

int hv_loop_create(struct hv_loop **res)
{
	struct hv_loop *loop = calloc(1, sizeof(*loop));
	int ret;

	if (!loop)
		return -ENOMEM;
	pthread_mutex_init(&loop->lock, NULL);
	loop->posts_tail = &loop->posts;
	loop->deferred_tail = &loop->deferred;
	loop->epfd = epoll_create1(EPOLL_CLOEXEC);
	loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (loop->epfd < 0 || loop->wake_fd < 0 || loop->timer_fd < 0) {
		ret = -errno;
		goto fail;
	}
	ret = loop_epoll_add(loop, loop->wake_fd, EPOLLIN, &loop->wake_fd);
	if (!ret)
		ret = loop_epoll_add(loop, loop->timer_fd, EPOLLIN, &loop->timer_fd);
	if (ret)
		goto fail;
	*res = loop;
	return 0;
fail:
	hv_loop_destroy(loop);
	return ret;
}

static void loop_reap(struct hv_loop *loop)
{
	while (loop->dead_fds) {
		struct hv_loop_fd *w = loop->dead_fds;

		loop->dead_fds = w->next;
		free(w);
	}
	while (loop->dead_timers) {
		struct hv_loop_timer *t = loop->dead_timers;

		loop->dead_timers = t->next;
		free(t);
	}
}

void hv_loop_destroy(struct hv_loop *loop)
{
	struct post *p;

	if (!loop)
		return;
	while (loop->fds)
		hv_loop_del_fd(loop->fds);
	while (loop->all_timers)
		hv_loop_del_timer(loop->all_timers);
	loop_reap(loop);
	while ((p = loop->posts)) {
		loop->posts = p->next;
		free(p);
	}
	if (loop->timer_fd >= 0)
		close(loop->timer_fd);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	if (loop->epfd >= 0)
		close(loop->epfd);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

/* ---- Descriptors ---- */

struct hv_loop_fd *hv_loop_add_fd(struct hv_loop *loop, int fd, uint32_t events, hv_loop_fd_fn fn,
				  void *opaque)
{
	struct hv_loop_fd *w = calloc(1, sizeof(*w));
	int ret;

	if (!w)
		return NULL;
	w->loop = loop;
	w->fd = fd;
	w->fn = fn;
	w->opaque = opaque;
	ret = loop_epoll_add(loop, fd, events, w);
	if (ret) {
		free(w);
		errno = -ret;
		return NULL;
	}
	w->next = loop->fds;
	w->pprev = &loop->fds;
	if (w->next)
		w->next->pprev = &w->next;
	loop->fds = w;
	return w;
}

int hv_loop_mod_fd(struct hv_loop_fd *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	return epoll_ctl(w->loop->epfd, EPOLL_CTL_MOD, w->fd, &ev) ? -errno : 0;
}

void hv_loop_del_fd(struct hv_loop_fd *w)
{
	if (!w || w->dead)
		return;
	epoll_ctl(w->loop->epfd, EPOLL_CTL_DEL, w->fd, NULL);
	w->dead = true;
	*w->pprev = w->next;
	if (w->next)
		w->next->pprev = w->pprev;
	/* An event of it may already be in the array that run_once() works on. */
	w->next = w->loop->dead_fds;
	w->loop->dead_fds = w;
	if (!w->loop->depth)
		loop_reap(w->loop);
}

/* ---- Timers ---- */

struct hv_loop_timer *hv_loop_add_timer(struct hv_loop *loop, hv_loop_fn fn, void *opaque)
{
	struct hv_loop_timer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->loop = loop;
	t->fn = fn;
	t->opaque = opaque;
	t->all_next = loop->all_timers;
	t->all_pprev = &loop->all_timers;
	if (t->all_next)
		t->all_next->all_pprev = &t->all_next;
	loop->all_timers = t;
	return t;
}

/* Set the timerfd to the earliest deadline; only when that changed. */
static void loop_program_timer(struct hv_loop *loop)
{
	uint64_t deadline = loop->timers ? loop->timers->deadline : 0;
	struct itimerspec its = {
		.it_value = { .tv_sec = deadline / NS_PER_S, .tv_nsec = deadline % NS_PER_S },
	};

	if (deadline == loop->programmed)
		return;
	loop->programmed = deadline;
	timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &its, NULL);
}

static void timer_unlink(struct hv_loop_timer *t)
{
	struct hv_loop_timer **p;

	if (!t->armed)
		return;
	for (p = &t->loop->timers; *p != t; p = &(*p)->next)
		;
	*p = t->next;
	t->armed = false;
}

void hv_loop_arm_timer(struct hv_loop_timer *t, uint64_t deadline_ns)
{
	struct hv_loop_timer **p;

	timer_unlink(t);
	/* Zero would mean "disarmed" to timerfd; long past is the same as zero. */
	t->deadline = deadline_ns ? deadline_ns : 1;
	for (p = &t->loop->timers; *p && (*p)->deadline <= t->deadline; p = &(*p)->next)
		;
	t->next = *p;
	*p = t;
	t->armed = true;
	loop_program_timer(t->loop);
}

void hv_loop_disarm_timer(struct hv_loop_timer *t)
{
	timer_unlink(t);
	loop_program_timer(t->loop);
}

bool hv_loop_timer_armed(const struct hv_loop_timer *t)
{
	return t->armed;
}

void hv_loop_del_timer(struct hv_loop_timer *t)
{
	if (!t || t->dead)
		return;
	hv_loop_disarm_timer(t);
	*t->all_pprev = t->all_next;
	if (t->all_next)
		t->all_next->all_pprev = t->all_pprev;
	t->dead = true;
	t->next = t->loop->dead_timers;
	t->loop->dead_timers = t;
	if (!t->loop->depth)
		loop_reap(t->loop);
}

static void loop_run_timers(struct hv_loop *loop)
{
	uint64_t now = hv_loop_now_ns();
	uint64_t expirations;

	/* The count is of no interest: which timers are due is decided by the clock. */
	if (read(loop->timer_fd, &expirations, sizeof(expirations)) < 0 && errno != EAGAIN)
		return;
	loop->programmed = 0;
	while (loop->timers && loop->timers->deadline <= now) {
		struct hv_loop_timer *t = loop->timers;

		timer_unlink(t);
		t->fn(t->opaque);
	}
	loop_program_timer(loop);
}

/* ---- Posted work ---- */

static void loop_wake(struct hv_loop *loop)
{
	uint64_t one = 1;

	/* A full counter (EAGAIN) wakes just as well. */
	while (write(loop->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void loop_post_locked(struct hv_loop *loop, struct post *p)
{
	p->next = NULL;
	*loop->posts_tail = p;
	loop->posts_tail = &p->next;
}

int hv_loop_post(struct hv_loop *loop, hv_loop_fn fn, void *opaque)
{
	struct post *p = malloc(sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->fn = fn;
	p->opaque = opaque;
	pthread_mutex_lock(&loop->lock);
	loop_post_locked(loop, p);
	pthread_mutex_unlock(&loop->lock);
	loop_wake(loop);
	return 0;
}

/* Run what is posted now; what that posts in turn is left for the next round. */
static bool loop_run_posts(struct hv_loop *loop)
{
	struct post *p, *next;

	pthread_mutex_lock(&loop->lock);
	p = loop->posts;
	loop->posts = NULL;
	loop->posts_tail = &loop->posts;
	pthread_mutex_unlock(&loop->lock);
	if (!p)
		return false;
	for (; p; p = next) {
		next = p->next;
		p->fn(p->opaque);
		free(p);
	}
	return true;
}

struct call {
	hv_loop_fn fn;
	void *opaque;
	sem_t done;
};

static void loop_do_call(void *opaque)
{
	struct call *c = opaque;

	c->fn(c->opaque);
	sem_post(&c->done);
}

void hv_loop_call(struct hv_loop *loop, hv_loop_fn fn, void *opaque)
{
	struct call c = { .fn = fn, .opaque = opaque };
	struct post *p = malloc(sizeof(*p));
	bool direct;

	pthread_mutex_lock(&loop->lock);
	direct = !loop->owned || pthread_equal(loop->owner, pthread_self());
	if (!direct) {
		while (!p) {	/* the caller cannot do without: wait for memory */
			pthread_mutex_unlock(&loop->lock);
			usleep(1000);
			p = malloc(sizeof(*p));
			pthread_mutex_lock(&loop->lock);
		}
		sem_init(&c.done, 0, 0);
		p->fn = loop_do_call;
		p->opaque = &c;
		loop_post_locked(loop, p);
	}
	pthread_mutex_unlock(&loop->lock);
	if (direct) {
		free(p);
		fn(opaque);
		return;
	}
	loop_wake(loop);
	while (sem_wait(&c.done) < 0 && errno == EINTR)
		;
	sem_destroy(&c.done);
}

/* ---- Deferred work ---- */

void hv_loop_defer(struct hv_loop *loop, struct hv_loop_deferred *d)
{
	if (d->queued)
		return;
	if (!loop->depth) {
		d->fn(d->opaque);
		return;
	}
	d->queued = true;
	d->next = NULL;
	*loop->deferred_tail = d;
	loop->deferred_tail = &d->next;
}

void hv_loop_cancel_deferred(struct hv_loop *loop, struct hv_loop_deferred *d)
{
	struct hv_loop_deferred **p;

	if (!d->queued)
		return;
	for (p = &loop->deferred; *p != d; p = &(*p)->next)
		;
	*p = d->next;
	if (!*p)
		loop->deferred_tail = p;
	d->queued = false;
}

/* Includes what is deferred meanwhile. */
static void loop_run_deferred(struct hv_loop *loop)
{
	struct hv_loop_deferred *d;

	while ((d = loop->deferred)) {
		hv_loop_cancel_deferred(loop, d);
		d->fn(d->opaque);
	}
}

/* ---- Running ---- */

static void loop_own(struct hv_loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	loop->owner = pthread_self();
	loop->owned = true;
	pthread_mutex_unlock(&loop->lock);
}

static void loop_clear_wake(struct hv_loop *loop)
{
	uint64_t n;

	while (read(loop->wake_fd, &n, sizeof(n)) < 0 && errno == EINTR)
		;
}

static int loop_round(struct hv_loop *loop, int timeout_ms)
{
	struct epoll_event ev[EVENTS_PER_ROUND];
	bool posts = false, timers = false;
	int n = epoll_wait(loop->epfd, ev, EVENTS_PER_ROUND, timeout_ms);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	loop->depth++;
	for (int i = 0; i < n; i++) {
		struct hv_loop_fd *w = ev[i].data.ptr;

		if (ev[i].data.ptr == &loop->wake_fd)
			posts = true;
		else if (ev[i].data.ptr == &loop->timer_fd)
			timers = true;
		else if (!w->dead)
			w->fn(w->opaque, ev[i].events);
	}
	if (timers)
		loop_run_timers(loop);
	if (posts) {
		/* Clear first: a post after this signals again. */
		loop_clear_wake(loop);
		loop_run_posts(loop);
	}
	loop_run_deferred(loop);
	if (!--loop->depth)
		loop_reap(loop);
	return 0;
}

int hv_loop_run_once(struct hv_loop *loop, int timeout_ms)
{
	loop_own(loop);
	return loop_round(loop, timeout_ms);
}

int hv_loop_run(struct hv_loop *loop)
{
	int ret = 0;
	bool more;

	loop_own(loop);
	while (!ret && !atomic_exchange(&loop->stop, false))
		ret = loop_round(loop, -1);
	/* Nobody may wait for a loop that has ended, so give up the loop with no post left. */
	do {
		loop->depth++;
		loop_run_posts(loop);
		loop_run_deferred(loop);
		loop->depth--;
		pthread_mutex_lock(&loop->lock);
		more = loop->posts;
		loop->owned = more;
		pthread_mutex_unlock(&loop->lock);
	} while (more);
	loop_reap(loop);
	return ret;
}

void hv_loop_stop(struct hv_loop *loop)
{
	atomic_store(&loop->stop, true);
	loop_wake(loop);
}
