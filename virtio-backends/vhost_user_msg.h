/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VHOST_USER_MSG_H
#define HV_VHOST_USER_MSG_H

#include <stdbool.h>

#include "util/err.h"
#include "vhost_user_defs.h"

/*
 * Messages of vhost-user on a Unix stream socket, the same on both sides. A message that was
 * received owns its descriptors until they are taken; vhost_user_msg_close() closes what nobody
 * took.
 */
struct vhost_user_msg {
	struct vhost_user_header hdr;
	union vhost_user_payload payload;
	int fds[VHOST_USER_MAX_FDS];
	unsigned int nr_fds;
};

/*
 * Send @m with @size bytes of payload and its descriptors, which stay the caller's. 0 or -errno;
 * -ETIMEDOUT: the other side did not read for @timeout_ms, and the connection is of no use any
 * more.
 */
int vhost_user_send(int sock, const struct vhost_user_msg *m, int timeout_ms);
/*
 * Receive the next message: 0, -ECONNRESET at the end of the connection, -ETIMEDOUT, -EPROTO: no
 * message that could be one (a wrong version, too long, too many descriptors), or another -errno.
 * After an error the connection is of no use and @m has no descriptors.
 */
int vhost_user_recv(int sock, struct vhost_user_msg *m, int timeout_ms);

/* The caller owns it; -1: there is none. */
int vhost_user_take_fd(struct vhost_user_msg *m, unsigned int i);
void vhost_user_msg_close(struct vhost_user_msg *m);

/* A pair of connected stream sockets. */
int vhost_user_socketpair(int sv[2]);

#endif
