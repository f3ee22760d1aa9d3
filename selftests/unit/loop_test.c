// SPDX-License-Identifier: GPL-2.0-or-later
/* The event loop: descriptors, timers, posted and deferred work, threads. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../../virtio-backends/io_thread.h"
#include "unit_test.h"

static struct hv_loop *loop;

static void set_up(void)
{
	CHECK_EQ(hv_loop_create(&loop), 0);
}

static void tear_down(void)
{
	hv_loop_destroy(loop);
}

struct watch {
	int fd;
	unsigned int calls;
	struct hv_loop_fd *w, *victim;
};

static void watch_fn(void *opaque, uint32_t events)
{
	struct watch *x = opaque;
	uint64_t n;

	x->calls++;
	CHECK(events & EPOLLIN);
	CHECK_EQ(read(x->fd, &n, sizeof(n)), sizeof(n));
	if (x->victim)
		hv_loop_del_fd(x->victim);
}

static void watch_init(struct watch *x)
{
	memset(x, 0, sizeof(*x));
	x->fd = eventfd(0, EFD_NONBLOCK);
	x->w = hv_loop_add_fd(loop, x->fd, EPOLLIN, watch_fn, x);
	CHECK(x->w);
}

static void signal_fd(int fd)
{
	uint64_t one = 1;

	CHECK_EQ(write(fd, &one, sizeof(one)), sizeof(one));
}

static void test_fd(void)
{
	struct watch x;

	set_up();
	watch_init(&x);
	CHECK_EQ(hv_loop_run_once(loop, 0), 0);
	CHECK_EQ(x.calls, 0);
	signal_fd(x.fd);
	CHECK_EQ(hv_loop_run_once(loop, 1000), 0);
	CHECK_EQ(x.calls, 1);
	CHECK_EQ(hv_loop_mod_fd(x.w, 0), 0);
	signal_fd(x.fd);
	CHECK_EQ(hv_loop_run_once(loop, 0), 0);
	CHECK_EQ(x.calls, 1);
	CHECK_EQ(hv_loop_mod_fd(x.w, EPOLLIN), 0);
	CHECK_EQ(hv_loop_run_once(loop, 1000), 0);
	CHECK_EQ(x.calls, 2);
	hv_loop_del_fd(x.w);
	signal_fd(x.fd);
	CHECK_EQ(hv_loop_run_once(loop, 0), 0);
	CHECK_EQ(x.calls, 2);
	close(x.fd);
	errno = 0;
	CHECK(!hv_loop_add_fd(loop, x.fd, EPOLLIN, watch_fn, &x));
	CHECK_EQ(errno, EBADF);
	tear_down();
}

/* Two descriptors are ready in the same round and each deletes the other. */
static void test_delete_in_callback(void)
{
	struct watch a, b;

	set_up();
	watch_init(&a);
	watch_init(&b);
	a.victim = b.w;
	b.victim = a.w;
	signal_fd(a.fd);
	signal_fd(b.fd);
	CHECK_EQ(hv_loop_run_once(loop, 1000), 0);
	CHECK_EQ(a.calls + b.calls, 1);
	CHECK_EQ(hv_loop_run_once(loop, 0), 0);
	CHECK_EQ(a.calls + b.calls, 1);
	tear_down();
	close(a.fd);
	close(b.fd);
}

static void test_delete_self(void)
{
	struct watch a;

	set_up();
	watch_init(&a);
	a.victim = a.w;
	signal_fd(a.fd);
	CHECK_EQ(hv_loop_run_once(loop, 1000), 0);
	CHECK_EQ(a.calls, 1);
	tear_down();
	close(a.fd);
}

static char order[16];

struct tick {
	char name;
	struct hv_loop_timer *t;
};

static void tick_fn(void *opaque)
{
	struct tick *t = opaque;

	strncat(order, &t->name, 1);
}

static void run_for(unsigned int ms)
{
	uint64_t end = hv_loop_now_ns() + ms * 1000000ULL;

	while (hv_loop_now_ns() < end)
		hv_loop_run_once(loop, 5);
}

static void test_timers(void)
{
	struct tick t[4] = { { .name = 'a' }, { .name = 'b' }, { .name = 'c' }, { .name = 'd' } };
	uint64_t now;

	set_up();
	order[0] = 0;
	for (unsigned int i = 0; i < 4; i++)
		t[i].t = hv_loop_add_timer(loop, tick_fn, &t[i]);
	now = hv_loop_now_ns();
	hv_loop_arm_timer(t[0].t, now + 30000000);
	hv_loop_arm_timer(t[1].t, now + 10000000);
	hv_loop_arm_timer(t[2].t, 0);			/* long past */
	hv_loop_arm_timer(t[3].t, now + 5000000);
	hv_loop_arm_timer(t[3].t, now + 20000000);	/* moved */
	CHECK(hv_loop_timer_armed(t[3].t));
	run_for(60);
	CHECK(!strcmp(order, "cbda"));
	CHECK(!hv_loop_timer_armed(t[3].t));
	hv_loop_arm_timer(t[0].t, hv_loop_now_ns() + 10000000);
	hv_loop_arm_timer(t[1].t, hv_loop_now_ns() + 20000000);
	hv_loop_disarm_timer(t[0].t);
	run_for(40);
	CHECK(!strcmp(order, "cbdab"));
	hv_loop_arm_timer(t[0].t, hv_loop_now_ns() + 1000000);
	hv_loop_del_timer(t[0].t);
	run_for(10);
	CHECK(!strcmp(order, "cbdab"));
	tear_down();
}

struct rearm {
	struct hv_loop_timer *t;
	unsigned int calls;
};

static void rearm_fn(void *opaque)
{
	struct rearm *r = opaque;

	if (++r->calls < 3)
		hv_loop_arm_timer(r->t, hv_loop_now_ns() + 1000000);
	else
		hv_loop_del_timer(r->t);
}

static void test_timer_rearms_and_deletes_itself(void)
{
	struct rearm r = { 0 };

	set_up();
	r.t = hv_loop_add_timer(loop, rearm_fn, &r);
	hv_loop_arm_timer(r.t, hv_loop_now_ns() + 1000000);
	run_for(30);
	CHECK_EQ(r.calls, 3);
	tear_down();
}

static void stop_fn(void *opaque)
{
	hv_loop_stop(opaque);
}

static void test_stop(void)
{
	set_up();
	hv_loop_stop(loop);		/* before the run: it returns at once */
	CHECK_EQ(hv_loop_run(loop), 0);
	CHECK_EQ(hv_loop_post(loop, stop_fn, loop), 0);
	CHECK_EQ(hv_loop_run(loop), 0);
	tear_down();
}

static unsigned int sequence[2];
static bool in_order;

static void in_order_fn(void *opaque)
{
	unsigned int v = (unsigned int)(uintptr_t)opaque;

	if (sequence[v >> 31]++ != (v & 0x7fffffff))
		in_order = false;
}

static void *poster(void *opaque)
{
	uintptr_t base = (uintptr_t)opaque;

	for (uintptr_t i = 0; i < 5000; i++)
		hv_loop_post(loop, in_order_fn, (void *)(base | i));
	return NULL;
}

static void test_post_from_threads(void)
{
	pthread_t t[2];

	set_up();
	sequence[0] = sequence[1] = 0;
	in_order = true;
	for (uintptr_t i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, poster, (void *)(i << 31)), 0);
	while (sequence[0] + sequence[1] < 10000)
		if (hv_loop_run_once(loop, 5000))
			break;
	CHECK_EQ(sequence[0], 5000);
	CHECK_EQ(sequence[1], 5000);
	CHECK(in_order);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	tear_down();
}

static void mark_fn(void *opaque)
{
	strncat(order, opaque, 1);
}

static struct hv_loop_deferred later = { .fn = mark_fn, .opaque = (char []){ "z" } };
static struct hv_loop_deferred never = { .fn = mark_fn, .opaque = (char []){ "!" } };

static void defer_fn(void *opaque)
{
	hv_loop_defer(loop, &later);
	hv_loop_defer(loop, &never);
	hv_loop_cancel_deferred(loop, &never);
	hv_loop_defer(loop, &later);
	mark_fn(opaque);
}

static void test_deferred(void)
{
	set_up();
	order[0] = 0;
	hv_loop_post(loop, defer_fn, (char []){ "a" });
	hv_loop_post(loop, defer_fn, (char []){ "b" });
	CHECK_EQ(hv_loop_run_once(loop, 1000), 0);
	CHECK(!strcmp(order, "abz"));
	hv_loop_defer(loop, &later);	/* outside of a round: at once */
	CHECK(!strcmp(order, "abzz"));
	tear_down();
}

static void thread_id_fn(void *opaque)
{
	*(pthread_t *)opaque = pthread_self();
}

struct nested {
	struct hv_loop *loop;
	pthread_t outer, inner;
};

static void nested_fn(void *opaque)
{
	struct nested *n = opaque;

	n->outer = pthread_self();
	hv_loop_call(n->loop, thread_id_fn, &n->inner);
}

static void test_call(void)
{
	struct hv_io_thread *t;
	struct nested n;
	pthread_t id;

	set_up();
	hv_loop_call(loop, thread_id_fn, &id);	/* nobody runs it: here */
	CHECK(pthread_equal(id, pthread_self()));
	tear_down();
	CHECK_EQ(hv_io_thread_start("test", &t), 0);
	hv_loop_call(hv_io_thread_loop(t), thread_id_fn, &id);
	CHECK(!pthread_equal(id, pthread_self()));
	n.loop = hv_io_thread_loop(t);
	hv_loop_call(n.loop, nested_fn, &n);	/* a call from inside the loop */
	CHECK(pthread_equal(n.inner, n.outer));
	CHECK(pthread_equal(n.outer, id));
	hv_io_thread_stop(t);
	hv_io_thread_stop(NULL);
}

/* Calls race with the end of the loop: each runs exactly once, none hangs. */
static atomic_uint calls_done;

static void count_fn(void *opaque)
{
	atomic_fetch_add(&calls_done, 1);
}

static void *caller(void *opaque)
{
	for (unsigned int i = 0; i < 200; i++)
		hv_loop_call(loop, count_fn, NULL);
	return NULL;
}

static void *runner(void *opaque)
{
	hv_loop_run(loop);
	return NULL;
}

static void test_call_races_with_stop(void)
{
	for (unsigned int i = 0; i < 50; i++) {
		pthread_t run, call;

		set_up();
		atomic_store(&calls_done, 0);
		pthread_create(&run, NULL, runner, NULL);
		pthread_create(&call, NULL, caller, NULL);
		usleep(i * 20);
		hv_loop_stop(loop);
		pthread_join(run, NULL);
		pthread_join(call, NULL);
		CHECK_EQ(atomic_load(&calls_done), 200);
		tear_down();
	}
}

int main(void)
{
	TEST_RUN(test_fd);
	TEST_RUN(test_delete_in_callback);
	TEST_RUN(test_delete_self);
	TEST_RUN(test_timers);
	TEST_RUN(test_timer_rearms_and_deletes_itself);
	TEST_RUN(test_stop);
	TEST_RUN(test_post_from_threads);
	TEST_RUN(test_deferred);
	TEST_RUN(test_call);
	TEST_RUN(test_call_races_with_stop);
	return TEST_EXIT();
}
