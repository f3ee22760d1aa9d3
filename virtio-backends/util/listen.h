/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_UTIL_LISTEN_H
#define HV_UTIL_LISTEN_H

#include <sys/un.h>

#include "err.h"

/*
 * Listen on a Unix stream socket that only this user can connect to. A socket that nobody listens
 * on is a left-over, and is removed. @addr gets the address; @room bytes of it are left free behind
 * the path. Returns a non-blocking descriptor or -errno; messages begin with @id.
 */
int hv_listen_unix(const char *id, const char *path, size_t room, struct sockaddr_un *addr,
		   struct hv_err *err);

#endif
