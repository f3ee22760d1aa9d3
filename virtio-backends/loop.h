/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_LOOP_H
#define HV_LOOP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * An event loop: one thread that waits for descriptors, timers and posted work (epoll). All
 * callbacks of a loop run on the thread that runs it, so that a device needs no lock for state
 * that only its loop touches. Only hv_loop_post(), hv_loop_call() and hv_loop_stop() may be called
 * from other threads.
 */
struct hv_loop;
struct hv_loop_fd;
struct hv_loop_timer;

typedef void (*hv_loop_fd_fn)(void *opaque, uint32_t events);	/* events: EPOLLIN, EPOLLOUT, ... */
typedef void (*hv_loop_fn)(void *opaque);

/* Returns 0 and the loop, or -errno. */
int hv_loop_create(struct hv_loop **loop);
void hv_loop_destroy(struct hv_loop *loop);

/*
 * Run callbacks until hv_loop_stop(); returns 0 or -errno of the wait. A stop that comes before
 * makes the next run return at once. Work posted before the return has been done.
 */
int hv_loop_run(struct hv_loop *loop);
/* One round: wait at most @timeout_ms (-1: for ever) and run what is due. */
int hv_loop_run_once(struct hv_loop *loop, int timeout_ms);
void hv_loop_stop(struct hv_loop *loop);

/* Watch @fd (not owned) for @events. Returns NULL and errno on failure. */
struct hv_loop_fd *hv_loop_add_fd(struct hv_loop *loop, int fd, uint32_t events,
				  hv_loop_fd_fn fn, void *opaque);
int hv_loop_mod_fd(struct hv_loop_fd *w, uint32_t events);
/* Safe inside any callback of the loop; fn is not called again afterwards. */
void hv_loop_del_fd(struct hv_loop_fd *w);

/* One-shot timers on CLOCK_MONOTONIC; arming an armed timer moves it. */
struct hv_loop_timer *hv_loop_add_timer(struct hv_loop *loop, hv_loop_fn fn, void *opaque);
void hv_loop_arm_timer(struct hv_loop_timer *t, uint64_t deadline_ns);
void hv_loop_disarm_timer(struct hv_loop_timer *t);
bool hv_loop_timer_armed(const struct hv_loop_timer *t);
void hv_loop_del_timer(struct hv_loop_timer *t);
uint64_t hv_loop_now_ns(void);

/* Run @fn once on the loop's thread, in posting order. Returns 0 or -ENOMEM. Thread-safe. */
int hv_loop_post(struct hv_loop *loop, hv_loop_fn fn, void *opaque);

/*
 * Work for the end of the current round, to do once for all events of the round. No system call,
 * loop's thread only; deferring what is deferred changes nothing. Outside of a round it runs at
 * once. The struct is the caller's, set up with fn and opaque only, and must be cancelled before
 * it goes away.
 */
struct hv_loop_deferred {
	hv_loop_fn fn;
	void *opaque;
	bool queued;
	struct hv_loop_deferred *next;
};
void hv_loop_defer(struct hv_loop *loop, struct hv_loop_deferred *d);
void hv_loop_cancel_deferred(struct hv_loop *loop, struct hv_loop_deferred *d);

/*
 * Run @fn on the loop's thread and wait until it returned; directly if the caller is that thread or
 * no thread runs the loop. Thread-safe. A loop that others wait for like this must never wait for
 * them: virtio devices call it from vCPU threads, so a loop that waits for vCPUs (to pause or reset
 * the machine) must not be the one that devices work on.
 */
void hv_loop_call(struct hv_loop *loop, hv_loop_fn fn, void *opaque);

#endif
