/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VHOST_USER_WORLD_H
#define VHOST_USER_WORLD_H

#include "../../virtio-backends/io_thread.h"
#include "../../virtio-backends/vhost_user.h"
#include "../../virtio-backends/vhost_user_backend.h"
#include "../../virtio-backends/vhost_user_msg.h"
#include "blk_toy.h"

/*
 * A block device in memory behind vhost-user: the back end on a thread of its own, the front end as
 * blk_toy.h's device and driver, or the test itself, by single messages.
 */
extern struct virtio_dev *backend_dev;
extern atomic_uint backend_ended;

/* A back end for @fd, a connected socket, in the place of the one before. */
void backend_start(int fd);
/* False: it was none. */
bool backend_stop(void);
/* Make the device that back ends serve, and destroy it. */
void backend_world_set_up(unsigned int queues);
void backend_world_tear_down(void);

/* The front end, connected; started if @features are given. */
int world_create(struct virtio_dev **dev, unsigned int queues, struct hv_err *err);
void world_set_up(unsigned int queues);
void world_tear_down(void);
/* How often a back end was asked for; fails while it is told to. */
extern atomic_uint connects;
extern atomic_bool refuse_connects;
/* Cut the connection, as a crash of the back end does. */
void world_cut(void);

/* Descriptors that this process has open. */
unsigned int open_fds(void);

#endif
