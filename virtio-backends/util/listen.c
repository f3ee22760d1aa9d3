// SPDX-License-Identifier: GPL-2.0-or-later
/* Unix sockets; see listen.h. */
#include "listen.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Is a socket there that somebody has open? Asked with a socket of another type, which is told so
 * without disturbing whoever it is.
 */
static bool socket_in_use(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool used = fd >= 0 && (!connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) ||
				errno == EPROTOTYPE);

	if (fd >= 0)
		close(fd);
	return used;
}

int hv_listen_unix(const char *id, const char *path, size_t room, struct sockaddr_un *addr,
		   struct hv_err *err)
{
	struct stat st;
	int fd, ret;

	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) + room >= sizeof(addr->sun_path))
		return hv_err_set(err, -ENAMETOOLONG, "%s: %s: too long for a socket", id, path);
	snprintf(addr->sun_path, sizeof(addr->sun_path), "%s", path);
	if (!lstat(path, &st)) {
		if (!S_ISSOCK(st.st_mode) || socket_in_use(addr))
			return hv_err_set(err, -EADDRINUSE, "%s: %s: %s", id, path,
					  S_ISSOCK(st.st_mode) ? "another guest listens there" :
					  "there is a file, and no socket");
		unlink(path);	/* of a guest that was killed */
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return hv_err_set(err, -errno, "%s: socket: %s", id, strerror(errno));
	if (bind(fd, (struct sockaddr *)addr, sizeof(*addr)) || chmod(path, 0600) ||
	    listen(fd, SOMAXCONN)) {
		ret = hv_err_set(err, -errno, "%s: %s: %s", id, path, strerror(errno));
		close(fd);
		return ret;
	}
	return fd;
}
