/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_WATCH_H
#define HV_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "loop.h"

/*
 * A descriptor that tells once that it can be read or written each time somebody wants to
 * know. Who wants it again while being told costs no system call.
 */
struct hv_watch {
	struct hv_loop *loop;
	int fd;
	void (*fn)(void *opaque, bool readable, bool writable);
	void *opaque;
	struct hv_loop_fd *watch;
	uint32_t mask;		/* what watch waits for */
	bool want_read, want_write;
	bool telling;
};

void hv_watch_init(struct hv_watch *w, struct hv_loop *loop, int fd,
		    void (*fn)(void *opaque, bool readable, bool writable), void *opaque);
void hv_watch_want(struct hv_watch *w, bool readable, bool writable);
/* Want nothing any more. */
void hv_watch_stop(struct hv_watch *w);

#endif
