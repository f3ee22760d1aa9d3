// SPDX-License-Identifier: GPL-2.0-or-later
/* Messages of vhost-user; see vhost_user_msg.h. */
#include "vhost_user_msg.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"

#define NS_PER_MS	1000000

union control {
	char buf[CMSG_SPACE(VHOST_USER_MAX_FDS * sizeof(int))];
	struct cmsghdr align;
};

int vhost_user_take_fd(struct vhost_user_msg *m, unsigned int i)
{
	int fd = i < m->nr_fds ? m->fds[i] : -1;

	if (fd >= 0)
		m->fds[i] = -1;
	return fd;
}

void vhost_user_msg_close(struct vhost_user_msg *m)
{
	for (unsigned int i = 0; i < m->nr_fds; i++)
		if (m->fds[i] >= 0)
			close(m->fds[i]);
	m->nr_fds = 0;
}

int vhost_user_socketpair(int sv[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) ? -errno : 0;
}

/* Until @deadline; 0: @sock is ready for @events, or has failed, which the next call tells. */
static int wait_ready(int sock, short events, uint64_t deadline)
{
	struct pollfd p = { .fd = sock, .events = events };
	int n;

	do {
		uint64_t now = hv_loop_now_ns();

		n = poll(&p, 1, now < deadline ? (int)((deadline - now) / NS_PER_MS) + 1 : 0);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n ? 0 : -ETIMEDOUT;
}

/* ---- Sending ---- */

static void attach_fds(struct msghdr *mh, union control *control, const int *fds, unsigned int n)
{
	struct cmsghdr *c;

	mh->msg_control = control;
	mh->msg_controllen = CMSG_SPACE(n * sizeof(int));
	memset(control, 0, sizeof(*control));
	c = CMSG_FIRSTHDR(mh);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
}

int vhost_user_send(int sock, const struct vhost_user_msg *m, int timeout_ms)
{
	uint64_t deadline = hv_loop_now_ns() + (uint64_t)timeout_ms * NS_PER_MS;
	char buf[sizeof(m->hdr) + sizeof(m->payload)];
	size_t len = sizeof(m->hdr) + m->hdr.size, done = 0;
	union control control;

	memcpy(buf, &m->hdr, sizeof(m->hdr));
	memcpy(buf + sizeof(m->hdr), &m->payload, m->hdr.size);
	while (done < len) {
		struct iovec iov = { buf + done, len - done };
		struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t n;

		if (!done && m->nr_fds)
			attach_fds(&mh, &control, m->fds, m->nr_fds);
		n = sendmsg(sock, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN) {
			int ret = wait_ready(sock, POLLOUT, deadline);

			if (ret)
				return ret;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

/* ---- Receiving ---- */

/* The descriptors that came with the first part of a message. */
static int detach_fds(struct msghdr *mh, struct vhost_user_msg *m)
{
	bool too_many = mh->msg_flags & MSG_CTRUNC;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		const unsigned char *data = CMSG_DATA(c);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, data + i * sizeof(fd), sizeof(fd));
			if (m->nr_fds < VHOST_USER_MAX_FDS) {
				m->fds[m->nr_fds++] = fd;
			} else {
				close(fd);
				too_many = true;
			}
		}
	}
	return too_many ? -EPROTO : 0;
}

/* Exactly @len bytes; descriptors are only taken with the first of a message. */
static int recv_part(int sock, void *buf, size_t len, struct vhost_user_msg *m, uint64_t deadline)
{
	size_t done = 0;

	while (done < len) {
		struct iovec iov = { (char *)buf + done, len - done };
		struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
		union control control;
		ssize_t n;
		int ret;

		if (m && !done) {
			mh.msg_control = &control;
			mh.msg_controllen = sizeof(control);
		}
		n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN) {
			ret = wait_ready(sock, POLLIN, deadline);
			if (ret)
				return ret;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		ret = mh.msg_control ? detach_fds(&mh, m) : 0;
		if (ret)
			return ret;
		if (!n)
			return -ECONNRESET;
		done += (size_t)n;
	}
	return 0;
}

int vhost_user_recv(int sock, struct vhost_user_msg *m, int timeout_ms)
{
	uint64_t deadline = hv_loop_now_ns() + (uint64_t)timeout_ms * NS_PER_MS;
	int ret;

	memset(m, 0, sizeof(*m));
	ret = recv_part(sock, &m->hdr, sizeof(m->hdr), m, deadline);
	if (!ret && ((m->hdr.flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION ||
		     m->hdr.size > sizeof(m->payload)))
		ret = -EPROTO;
	if (!ret)
		ret = recv_part(sock, &m->payload, m->hdr.size, NULL, deadline);
	if (ret)
		vhost_user_msg_close(m);
	return ret;
}
