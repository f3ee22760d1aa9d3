// SPDX-License-Identifier: GPL-2.0-or-later
/* See net_toy.h. */
#include "net_toy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../virtio-backends/virtq.h"
#include "unit_test.h"

struct toy_port toy_port[TOY_PORTS];

static struct toy_port *to_toy(struct net_port *p)
{
	return (struct toy_port *)p;
}

static int toy_set_offloads(struct net_port *p, uint64_t features)
{
	to_toy(p)->offloads = features;
	return 0;
}

static int toy_enable(struct net_port *p, bool on)
{
	if (to_toy(p)->refuse)
		return -EIO;
	to_toy(p)->enabled = on;
	return 0;
}

static int toy_start(struct net_port *p)
{
	return 0;
}

static void toy_stop(struct net_port *p)
{
	to_toy(p)->want_in = false;
	to_toy(p)->want_out = false;
}

/* On the port's loop. */
static void toy_ready(void *opaque)
{
	struct toy_port *t = opaque;
	bool in, out;

	pthread_mutex_lock(&t->lock);
	in = t->want_in && (t->in_got != t->in_put || t->endless);
	out = t->want_out && !t->full;
	if (in)
		t->want_in = false;
	if (out)
		t->want_out = false;
	pthread_mutex_unlock(&t->lock);
	if (in || out)
		t->port.ready(t->port.opaque, in, out);
}

static void toy_want(struct net_port *p, bool receive, bool send)
{
	struct toy_port *t = to_toy(p);

	t->want_in |= receive;
	t->want_out |= send;
	hv_loop_post(p->loop, toy_ready, t);
}

static ssize_t toy_receive(struct net_port *p, const struct iovec *iov, int n)
{
	static const uint8_t some[200];
	struct toy_port *t = to_toy(p);
	struct toy_packet *packet = NULL;
	ssize_t len = -EAGAIN;

	if (t->endless)
		return (ssize_t)virtq_iov_from_buf(iov, (unsigned int)n, 0, some, sizeof(some));
	pthread_mutex_lock(&t->lock);
	if (t->in_got != t->in_put)
		packet = t->in[t->in_got++ % TOY_PACKETS];
	pthread_mutex_unlock(&t->lock);
	if (packet)
		len = (ssize_t)virtq_iov_from_buf(iov, (unsigned int)n, 0, packet->data,
						  packet->len);
	free(packet);
	return len;
}

static int toy_send(struct net_port *p, const struct iovec *iov, int n, size_t len)
{
	struct toy_port *t = to_toy(p);
	struct toy_packet *packet;

	if (t->endless)
		return 0;
	if (t->full)
		return -EAGAIN;
	packet = malloc(sizeof(*packet));
	packet->len = virtq_iov_to_buf(iov, (unsigned int)n, 0, packet->data,
				       sizeof(packet->data));
	CHECK_EQ(packet->len, len);
	pthread_mutex_lock(&t->lock);
	CHECK(t->out_put - t->out_got < TOY_PACKETS);
	t->out[t->out_put++ % TOY_PACKETS] = packet;
	pthread_mutex_unlock(&t->lock);
	return 0;
}

static void toy_destroy(struct net_port *p)
{
	struct toy_port *t = to_toy(p);

	while (t->in_got != t->in_put)
		free(t->in[t->in_got++ % TOY_PACKETS]);
	while (t->out_got != t->out_put)
		free(t->out[t->out_got++ % TOY_PACKETS]);
	pthread_mutex_destroy(&t->lock);
}

static const struct net_port_ops toy_ops = {
	.set_offloads = toy_set_offloads,
	.enable = toy_enable,
	.start = toy_start,
	.stop = toy_stop,
	.want = toy_want,
	.receive = toy_receive,
	.send = toy_send,
	.destroy = toy_destroy,
};

int toy_port_create(void *opaque, unsigned int pair, struct hv_loop *loop, struct net_port **port,
		    struct hv_err *err)
{
	struct toy_port *t = &toy_port[pair];
	bool endless = t->endless;

	memset(t, 0, sizeof(*t));
	t->endless = endless;
	t->port.ops = &toy_ops;
	t->port.loop = loop;
	pthread_mutex_init(&t->lock, NULL);
	*port = &t->port;
	return 0;
}

void toy_give(unsigned int n, const void *packet, size_t len)
{
	struct toy_packet *p = malloc(sizeof(*p));
	struct toy_port *t = &toy_port[n];

	p->len = len;
	memcpy(p->data, packet, len);
	pthread_mutex_lock(&t->lock);
	CHECK(t->in_put - t->in_got < TOY_PACKETS);
	t->in[t->in_put++ % TOY_PACKETS] = p;
	pthread_mutex_unlock(&t->lock);
	hv_loop_post(t->port.loop, toy_ready, t);
}

bool toy_empty(unsigned int n)
{
	struct toy_port *t = &toy_port[n];
	bool empty;

	pthread_mutex_lock(&t->lock);
	empty = t->out_got == t->out_put;
	pthread_mutex_unlock(&t->lock);
	return empty;
}

size_t toy_take(unsigned int n, uint8_t *buf, size_t len)
{
	struct toy_port *t = &toy_port[n];
	struct toy_packet *p;
	size_t got;

	for (unsigned int i = 0; i < 50000 && toy_empty(n); i++)
		usleep(100);
	if (toy_empty(n))
		return 0;
	pthread_mutex_lock(&t->lock);
	p = t->out[t->out_got++ % TOY_PACKETS];
	pthread_mutex_unlock(&t->lock);
	got = p->len;
	memcpy(buf, p->data, got < len ? got : len);
	free(p);
	return got;
}

void toy_set_full(unsigned int n, bool full)
{
	struct toy_port *t = &toy_port[n];

	pthread_mutex_lock(&t->lock);
	t->full = full;
	pthread_mutex_unlock(&t->lock);
	if (!full)
		hv_loop_post(t->port.loop, toy_ready, t);
}
