/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_IO_THREAD_H
#define HV_IO_THREAD_H

#include "loop.h"

/* A thread that runs a loop of its own. All signals are blocked in it. */
struct hv_io_thread;

/* @name is shown by ps -L (15 characters). Returns 0 or -errno. */
int hv_io_thread_start(const char *name, struct hv_io_thread **t);
struct hv_loop *hv_io_thread_loop(struct hv_io_thread *t);
/* Stop the loop, wait for the thread and free both. NULL is ignored. */
void hv_io_thread_stop(struct hv_io_thread *t);

#endif
