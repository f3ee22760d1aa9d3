// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Connections of the socket device and the Unix sockets behind them; see vsock.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vsock_internal.h"

/* Ports of connections that the host begins: above those that people choose. */
#define FIRST_PORT	(1u << 30)
#define LAST_PORT	(1u << 31)

/* ---- Which there are ---- */

static struct vsock_conn **conn_bucket(struct virtio_vsock *vs, uint32_t guest_port,
				       uint32_t host_port)
{
	return &vs->bucket[(guest_port * 31 + host_port) & (VSOCK_BUCKETS - 1)];
}

struct vsock_conn *vsock_conn_find(struct virtio_vsock *vs, uint32_t guest_port,
				   uint32_t host_port)
{
	struct vsock_conn *c = *conn_bucket(vs, guest_port, host_port);

	while (c && (c->guest_port != guest_port || c->host_port != host_port))
		c = c->next;
	return c;
}

static void conn_insert(struct vsock_conn *c)
{
	struct vsock_conn **b = conn_bucket(c->vs, c->guest_port, c->host_port);

	c->next = *b;
	*b = c;
}

static void list_remove(struct vsock_conn **p, const struct vsock_conn *c)
{
	while (*p && *p != c)
		p = &(*p)->next;
	if (*p)
		*p = c->next;
}

static void conn_event(void *opaque, bool readable, bool writable);

/* Takes @fd over in any case. */
static struct vsock_conn *conn_create(struct virtio_vsock *vs, int fd, enum vsock_state state)
{
	struct vsock_conn *c = vs->nr_conns < VSOCK_MAX_CONNS ? calloc(1, sizeof(*c)) : NULL;

	if (!c) {
		close(fd);
		return NULL;
	}
	c->vs = vs;
	c->fd = fd;
	c->state = state;
	hv_watch_init(&c->watch, vs->loop, fd, conn_event, c);
	vs->nr_conns++;
	vsock_count(vs, VSOCK_STAT_CONNECTIONS, 1);
	return c;
}

void vsock_conn_close(struct vsock_conn *c)
{
	struct virtio_vsock *vs = c->vs;

	if (c->state == VSOCK_DEAD)
		return;
	if (c->state == VSOCK_GREETING)
		list_remove(&vs->greeting, c);
	else
		list_remove(conn_bucket(vs, c->guest_port, c->host_port), c);
	hv_watch_stop(&c->watch);
	close(c->fd);
	free(c->buf);
	c->buf = NULL;
	c->state = VSOCK_DEAD;
	vs->nr_conns--;
	/* Who called us may still look at it, and so may the ready list. */
	c->next = vs->dead;
	vs->dead = c;
	hv_loop_defer(vs->loop, &vs->reap);
}

static void ready_remove(struct virtio_vsock *vs, const struct vsock_conn *c)
{
	struct vsock_conn **p = &vs->ready_head;

	while (*p && *p != c)
		p = &(*p)->ready_next;
	if (!*p)
		return;
	*p = c->ready_next;
	if (!*p)
		vs->ready_tail = p;
}

void vsock_reap(void *opaque)
{
	struct virtio_vsock *vs = opaque;

	while (vs->dead) {
		struct vsock_conn *c = vs->dead;

		vs->dead = c->next;
		if (c->ready)
			ready_remove(vs, c);
		free(c);
	}
}

/* For each of the connections that there are now. */
static void conn_for_each(struct virtio_vsock *vs, void (*fn)(struct vsock_conn *c))
{
	struct vsock_conn *c, *next;

	for (unsigned int i = 0; i < VSOCK_BUCKETS; i++) {
		for (c = vs->bucket[i]; c; c = next) {
			next = c->next;
			fn(c);
		}
	}
	for (c = vs->greeting; c; c = next) {
		next = c->next;
		fn(c);
	}
}

void vsock_close_all(struct virtio_vsock *vs)
{
	conn_for_each(vs, vsock_conn_close);
	vs->nr_resets = 0;
}

static void conn_look_again(struct vsock_conn *c)
{
	c->readable = c->state == VSOCK_CONNECTED && !c->ended;
	if (c->readable)
		vsock_conn_ready(c);
	vsock_conn_update(c);
}

void vsock_update_all(struct virtio_vsock *vs)
{
	conn_for_each(vs, conn_look_again);
}

/* ---- From the guest to the socket ---- */

/* Both have ended and all is written: the guest waits for a reset (virtio 1.2, 5.10.6.5). */
static void conn_finish(struct vsock_conn *c)
{
	if (c->guest_ended && !c->buf_len && c->guest_deaf) {
		vsock_send_reset(c->vs, c->guest_port, c->host_port);
		vsock_conn_close(c);
	} else if (c->guest_ended && !c->buf_len) {
		shutdown(c->fd, SHUT_WR);
	}
}

/* What was written makes room: tell the guest when it is much. */
static void conn_forwarded(struct vsock_conn *c, uint32_t n)
{
	c->fwd_cnt += n;
	vsock_count(c->vs, VSOCK_STAT_TX_BYTES, n);
	if (c->fwd_cnt - c->told_fwd >= VSOCK_BUFFER / 2)
		vsock_conn_say(c, VSOCK_OP_CREDIT_UPDATE);
}

/* Write what waits; false: the socket is gone. */
static bool conn_flush(struct vsock_conn *c)
{
	while (c->buf_len) {
		uint32_t n = VSOCK_BUFFER - c->buf_start;
		ssize_t ret;

		n = n < c->buf_len ? n : c->buf_len;
		ret = send(c->fd, c->buf + c->buf_start, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (ret < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (ret <= 0)
			return false;
		c->buf_start = (c->buf_start + (uint32_t)ret) % VSOCK_BUFFER;
		c->buf_len -= (uint32_t)ret;
		conn_forwarded(c, (uint32_t)ret);
	}
	c->buf_start = 0;	/* the same few pages again */
	return true;
}

static bool conn_buffer(struct vsock_conn *c, const struct iovec *iov, unsigned int n, size_t off,
			uint32_t len)
{
	if (!c->buf)
		c->buf = malloc(VSOCK_BUFFER);
	if (!c->buf)
		return false;
	while (len) {
		uint32_t at = (c->buf_start + c->buf_len) % VSOCK_BUFFER;
		uint32_t part = VSOCK_BUFFER - at;

		part = part < len ? part : len;
		virtq_iov_to_buf(iov, n, off, c->buf + at, part);
		c->buf_len += part;
		off += part;
		len -= part;
	}
	return true;
}

bool vsock_conn_write(struct vsock_conn *c, const struct iovec *iov, unsigned int n, size_t off,
		      uint32_t len)
{
	c->tx_cnt += len;
	if (c->tx_cnt - c->fwd_cnt > VSOCK_BUFFER)
		return false;
	/* The guest's memory may change: what is sent is our copy. */
	return conn_buffer(c, iov, n, off, len) && conn_flush(c);
}

void vsock_conn_guest_shutdown(struct vsock_conn *c, uint32_t flags)
{
	if (flags & VSOCK_SHUTDOWN_RCV) {
		c->guest_deaf = true;
		c->readable = false;
	}
	if (flags & VSOCK_SHUTDOWN_SEND)
		c->guest_ended = true;
	if (c->state == VSOCK_REQUESTED)
		vsock_conn_close(c);
	else
		conn_finish(c);
}

/* ---- Connecting ---- */

struct vsock_conn *vsock_conn_open(struct virtio_vsock *vs, uint32_t guest_port,
				   uint32_t host_port)
{
	struct sockaddr_un addr = vs->addr;
	size_t len = strlen(addr.sun_path);
	struct vsock_conn *c;
	int fd;

	if (snprintf(addr.sun_path + len, sizeof(addr.sun_path) - len, "_%u", host_port) >=
	    (int)(sizeof(addr.sun_path) - len))
		return NULL;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return NULL;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		close(fd);
		return NULL;
	}
	c = conn_create(vs, fd, VSOCK_CONNECTED);
	if (!c)
		return NULL;
	c->guest_port = guest_port;
	c->host_port = host_port;
	conn_insert(c);
	return c;
}

void vsock_accept(void *opaque, uint32_t events)
{
	struct virtio_vsock *vs = opaque;
	int fd = accept4(vs->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct vsock_conn *c = fd < 0 ? NULL : conn_create(vs, fd, VSOCK_GREETING);

	if (!c)
		return;
	c->next = vs->greeting;
	vs->greeting = c;
	vsock_conn_update(c);
}

static uint32_t pick_port(struct virtio_vsock *vs, uint32_t guest_port)
{
	uint32_t port;

	/* There are far more ports than connections. */
	do {
		port = FIRST_PORT + vs->next_port++ % (LAST_PORT - FIRST_PORT);
	} while (vsock_conn_find(vs, guest_port, port));
	return port;
}

/* "CONNECT PORT"; false: it is something else. */
static bool parse_line(const char *line, uint32_t *port)
{
	static const char word[] = "CONNECT ";
	unsigned long long v;
	char *end;

	if (strncmp(line, word, sizeof(word) - 1))
		return false;
	line += sizeof(word) - 1;
	if (*line < '0' || *line > '9')
		return false;
	v = strtoull(line, &end, 10);
	*port = (uint32_t)v;
	return !*end && v < UINT32_MAX;
}

static void conn_request(struct vsock_conn *c)
{
	struct virtio_vsock *vs = c->vs;
	uint32_t port;

	if (!parse_line(c->line, &port)) {
		vsock_conn_close(c);
		return;
	}
	list_remove(&vs->greeting, c);
	c->state = VSOCK_REQUESTED;
	c->guest_port = port;
	c->host_port = pick_port(vs, port);
	conn_insert(c);
	vsock_conn_say(c, VSOCK_OP_REQUEST);
}

/* A byte at a time: what follows the line is for the guest. */
static void conn_greet(struct vsock_conn *c)
{
	for (;;) {
		ssize_t n = recv(c->fd, &c->line[c->line_len], 1, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0 || c->line_len == VSOCK_MAX_LINE - 1) {
			vsock_conn_close(c);
			return;
		}
		if (c->line[c->line_len] == '\n') {
			c->line[c->line_len] = '\0';
			conn_request(c);
			return;
		}
		c->line_len++;
	}
}

void vsock_conn_accepted(struct vsock_conn *c)
{
	char line[32];
	int n = snprintf(line, sizeof(line), "OK %u\n", c->host_port);

	c->state = VSOCK_CONNECTED;
	c->readable = true;
	/* The socket is new and empty: it takes a line. */
	if (send(c->fd, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) != n) {
		vsock_send_reset(c->vs, c->guest_port, c->host_port);
		vsock_conn_close(c);
	}
}

/* ---- The socket ---- */

static void conn_event(void *opaque, bool readable, bool writable)
{
	struct vsock_conn *c = opaque;
	struct virtio_vsock *vs = c->vs;

	if (c->state == VSOCK_GREETING) {
		conn_greet(c);
	} else if (c->state == VSOCK_CONNECTED) {
		if (readable) {
			c->readable = true;
			vsock_conn_ready(c);
		}
		if (writable && !conn_flush(c)) {
			vsock_send_reset(vs, c->guest_port, c->host_port);
			vsock_conn_close(c);
		} else if (writable) {
			conn_finish(c);
		}
	}
	if (c->state != VSOCK_DEAD)
		vsock_conn_update(c);
	vsock_fill_rx(vs);
}

void vsock_conn_update(struct vsock_conn *c)
{
	bool read = c->state == VSOCK_GREETING ||
		    (c->state == VSOCK_CONNECTED && !c->readable && !c->ended && !c->guest_deaf);

	if (c->state != VSOCK_DEAD && c->vs->running)
		hv_watch_want(&c->watch, read, c->buf_len > 0);
}
