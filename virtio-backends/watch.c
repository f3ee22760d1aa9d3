// SPDX-License-Identifier: GPL-2.0-or-later
/* Descriptors that tell once; see watch.h. */
#include "watch.h"

#include <string.h>
#include <sys/epoll.h>

static void watch_event(void *opaque, uint32_t events);

/* Bring the loop in line with what is wanted. Out of memory, it is tried again at the next want. */
static void watch_update(struct hv_watch *w)
{
	uint32_t mask = (w->want_read ? EPOLLIN : 0) | (w->want_write ? EPOLLOUT : 0);

	if (mask == w->mask)
		return;
	if (!mask) {
		hv_loop_del_fd(w->watch);
		w->watch = NULL;
	} else if (w->watch) {
		hv_loop_mod_fd(w->watch, mask);
	} else {
		w->watch = hv_loop_add_fd(w->loop, w->fd, mask, watch_event, w);
		if (!w->watch)
			return;
	}
	w->mask = mask;
}

static void watch_event(void *opaque, uint32_t events)
{
	struct hv_watch *w = opaque;
	bool failed = events & (EPOLLERR | EPOLLHUP);
	bool readable = w->want_read && (failed || (events & EPOLLIN));
	bool writable = w->want_write && (failed || (events & EPOLLOUT));

	if (readable)
		w->want_read = false;
	if (writable)
		w->want_write = false;
	w->telling = true;
	w->fn(w->opaque, readable, writable);
	w->telling = false;
	watch_update(w);
}

void hv_watch_init(struct hv_watch *w, struct hv_loop *loop, int fd,
		    void (*fn)(void *opaque, bool readable, bool writable), void *opaque)
{
	memset(w, 0, sizeof(*w));
	w->loop = loop;
	w->fd = fd;
	w->fn = fn;
	w->opaque = opaque;
}

void hv_watch_want(struct hv_watch *w, bool readable, bool writable)
{
	w->want_read |= readable;
	w->want_write |= writable;
	if (!w->telling)
		watch_update(w);
}

void hv_watch_stop(struct hv_watch *w)
{
	w->want_read = false;
	w->want_write = false;
	watch_update(w);
}
