// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Ethernet frames over a stream socket, each after its length in 32 bits, big-endian: what passt
 * listens for, and QEMU's stream back end speaks; see port.h. There are no offloads. When the other
 * side goes, the guest sees its cable pulled until it is back.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../net_defs.h"
#include "../util/log.h"
#include "../virtq.h"
#include "../watch.h"
#include "port.h"

#define RECONNECT_NS	1000000000ULL
#define LENGTH_BYTES	4
#define MAX_FRAME	(NET_MAX_PACKET - sizeof(struct net_header))
#define IN_SIZE		(2 * (LENGTH_BYTES + MAX_FRAME))

struct stream_port {
	struct net_port port;	/* first: the device hands it back */
	char id[32];
	struct sockaddr_un addr;
	int fd;			/* -1: not connected */
	struct hv_watch watch;
	struct hv_loop_timer *reconnect;
	struct hv_loop_timer *again;	/* what is wanted is in the buffer already */
	size_t in_pos, in_len;	/* received and not yet passed on */
	size_t out_pos, out_len;	/* the rest of a frame that was sent in part */
	uint8_t in[IN_SIZE];
	uint8_t out[LENGTH_BYTES + MAX_FRAME];
};

static struct stream_port *to_stream_port(struct net_port *p)
{
	return (struct stream_port *)p;
}

/* ---- The connection ---- */

static void stream_event(void *opaque, bool readable, bool writable);

static int stream_connect(struct stream_port *s)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), ret;

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&s->addr, sizeof(s->addr))) {
		ret = -errno;
		close(fd);
		return ret;
	}
	s->fd = fd;
	s->in_pos = s->in_len = 0;
	s->out_pos = s->out_len = 0;
	hv_watch_init(&s->watch, s->port.loop, fd, stream_event, s);
	return 0;
}

static void stream_disconnect(struct stream_port *s, const char *why)
{
	hv_watch_stop(&s->watch);
	close(s->fd);
	s->fd = -1;
	s->in_pos = s->in_len = 0;
	s->out_pos = s->out_len = 0;
	hv_log("%s: %s: %s; trying again every second", s->id, s->addr.sun_path, why);
	hv_loop_arm_timer(s->reconnect, hv_loop_now_ns() + RECONNECT_NS);
	if (s->port.link)
		s->port.link(s->port.opaque, false);
}

static void stream_reconnect(void *opaque)
{
	struct stream_port *s = opaque;

	if (stream_connect(s)) {
		hv_loop_arm_timer(s->reconnect, hv_loop_now_ns() + RECONNECT_NS);
		return;
	}
	hv_log("%s: %s: connected again", s->id, s->addr.sun_path);
	if (s->port.link)
		s->port.link(s->port.opaque, true);
	s->port.ready(s->port.opaque, true, true);
}

/* ---- Sending ---- */

/* Send what is left of a frame: 0 all is out, -EAGAIN the socket is full. */
static int stream_flush(struct stream_port *s)
{
	while (s->out_pos < s->out_len) {
		ssize_t n = send(s->fd, s->out + s->out_pos, s->out_len - s->out_pos,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return -EAGAIN;
		if (n <= 0) {
			stream_disconnect(s, strerror(errno));
			return -EPIPE;
		}
		s->out_pos += (size_t)n;
	}
	s->out_pos = s->out_len = 0;
	return 0;
}

/* The frame behind its length; returns the number of parts. */
static int frame_iov(struct iovec *out, const struct iovec *iov, int n, uint32_t *length)
{
	size_t skip = sizeof(struct net_header);
	int parts = 0;

	out[parts++] = (struct iovec){ length, sizeof(*length) };
	for (int i = 0; i < n; i++) {
		size_t part = iov[i].iov_len;

		if (skip >= part) {
			skip -= part;
			continue;
		}
		out[parts++] = (struct iovec){ (char *)iov[i].iov_base + skip, part - skip };
		skip = 0;
	}
	return parts;
}

static int stream_send(struct net_port *p, const struct iovec *iov, int n, size_t len)
{
	struct stream_port *s = to_stream_port(p);
	size_t frame = len - sizeof(struct net_header), done;
	uint32_t length = htonl((uint32_t)frame);
	struct iovec v[n + 1];
	struct msghdr msg = { .msg_iov = v };
	ssize_t ret;

	if (s->fd < 0)
		return -ENOTCONN;
	ret = stream_flush(s);
	if (ret)
		return (int)ret;
	msg.msg_iovlen = (size_t)frame_iov(v, iov, n, &length);
	do {
		ret = sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (ret < 0 && errno == EINTR);
	if (ret < 0) {
		if (errno == EAGAIN)
			return -EAGAIN;
		stream_disconnect(s, strerror(errno));
		return -EPIPE;
	}
	/* A stream takes frames in part: the rest goes first next time. */
	done = (size_t)ret;
	s->out_len = LENGTH_BYTES + frame - done;
	virtq_iov_to_buf(v, (unsigned int)msg.msg_iovlen, done, s->out, s->out_len);
	if (s->out_len)
		hv_watch_want(&s->watch, false, true);
	return 0;
}

/* ---- Receiving ---- */

/* Length of the complete frame that is in the buffer, 0: none yet, -EPROTO: nonsense. */
static ssize_t stream_frame(const struct stream_port *s)
{
	size_t have = s->in_len - s->in_pos;
	uint32_t length;

	if (have < LENGTH_BYTES)
		return 0;
	memcpy(&length, s->in + s->in_pos, LENGTH_BYTES);
	length = ntohl(length);
	if (length < ETH_MIN_FRAME || length > MAX_FRAME)
		return -EPROTO;
	return have - LENGTH_BYTES >= length ? (ssize_t)length : 0;
}

/* Returns false if nothing came. */
static bool stream_fill(struct stream_port *s)
{
	ssize_t n;

	memmove(s->in, s->in + s->in_pos, s->in_len - s->in_pos);
	s->in_len -= s->in_pos;
	s->in_pos = 0;
	n = recv(s->fd, s->in + s->in_len, sizeof(s->in) - s->in_len, MSG_DONTWAIT);
	if (n > 0) {
		s->in_len += (size_t)n;
		return true;
	}
	if (n == 0)
		stream_disconnect(s, "the connection was closed");
	else if (errno != EAGAIN && errno != EINTR)
		stream_disconnect(s, strerror(errno));
	return false;
}

static ssize_t stream_receive(struct net_port *p, const struct iovec *iov, int n)
{
	static const struct net_header none;
	struct stream_port *s = to_stream_port(p);
	ssize_t len = 0;
	size_t done;

	if (s->fd < 0)
		return -EAGAIN;
	while (!(len = stream_frame(s)))
		if (!stream_fill(s))
			return -EAGAIN;
	if (len < 0) {
		stream_disconnect(s, "a frame of impossible length came");
		return -EAGAIN;
	}
	done = virtq_iov_from_buf(iov, (unsigned int)n, 0, &none, sizeof(none));
	done += virtq_iov_from_buf(iov, (unsigned int)n, sizeof(none),
				   s->in + s->in_pos + LENGTH_BYTES, (size_t)len);
	s->in_pos += LENGTH_BYTES + (size_t)len;
	return (ssize_t)done;
}

/* ---- A port ---- */

static void stream_event(void *opaque, bool readable, bool writable)
{
	struct stream_port *s = opaque;

	if (writable && s->out_len && stream_flush(s) == -EAGAIN) {
		hv_watch_want(&s->watch, false, true);
		writable = false;
	}
	s->port.ready(s->port.opaque, readable, writable);
}

static void stream_again(void *opaque)
{
	struct stream_port *s = opaque;

	s->port.ready(s->port.opaque, true, false);
}

static int stream_start(struct net_port *p)
{
	return 0;
}

static void stream_stop(struct net_port *p)
{
	struct stream_port *s = to_stream_port(p);

	hv_loop_disarm_timer(s->again);
	if (s->fd >= 0)
		hv_watch_stop(&s->watch);
}

static void stream_want(struct net_port *p, bool receive, bool send)
{
	struct stream_port *s = to_stream_port(p);

	if (s->fd < 0)
		return;		/* ready is said after connecting again */
	if (receive && stream_frame(s))
		hv_loop_arm_timer(s->again, 0);
	else
		hv_watch_want(&s->watch, receive, false);
	if (send)
		hv_watch_want(&s->watch, false, true);
}

static void stream_destroy(struct net_port *p)
{
	struct stream_port *s = to_stream_port(p);

	if (s->fd >= 0) {
		hv_watch_stop(&s->watch);
		close(s->fd);
	}
	hv_loop_del_timer(s->again);
	hv_loop_del_timer(s->reconnect);
	free(s);
}

static const struct net_port_ops stream_ops = {
	.start = stream_start,
	.stop = stream_stop,
	.want = stream_want,
	.receive = stream_receive,
	.send = stream_send,
	.destroy = stream_destroy,
};

int net_stream_port_create(const char *path, const char *id, struct hv_loop *loop,
			   struct net_port **port, struct hv_err *err)
{
	struct stream_port *s;
	int ret;

	if (strlen(path) >= sizeof(s->addr.sun_path))
		return hv_err_set(err, -ENAMETOOLONG, "%s: %s: too long for a socket", id, path);
	s = calloc(1, sizeof(*s));
	if (!s)
		return hv_err_set(err, -ENOMEM, "%s: out of memory", id);
	s->port.ops = &stream_ops;
	s->port.loop = loop;
	s->fd = -1;
	snprintf(s->id, sizeof(s->id), "%s", id);
	s->addr.sun_family = AF_UNIX;
	snprintf(s->addr.sun_path, sizeof(s->addr.sun_path), "%s", path);
	s->reconnect = hv_loop_add_timer(loop, stream_reconnect, s);
	s->again = hv_loop_add_timer(loop, stream_again, s);
	ret = s->reconnect && s->again ? stream_connect(s) : -ENOMEM;
	if (ret) {
		hv_err_set(err, ret, "%s: %s: %s%s", id, path, strerror(-ret),
			   ret == -ENOENT || ret == -ECONNREFUSED ?
			   "; start passt first, with \"passt --socket FILE\"" : "");
		stream_destroy(&s->port);
		return ret;
	}
	*port = &s->port;
	return 0;
}
