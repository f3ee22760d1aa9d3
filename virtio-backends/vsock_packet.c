// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Packets of the socket device (virtio 1.2, 5.10.6); see vsock.h.
 *
 * To the guest go, in this order: resets of connections that do not exist, and then whatever the
 * connections in the ready list have to say, one packet each in turn. A packet from the guest can
 * need a reset as an answer; when too many wait to be sent, no more packets are taken.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "vsock_internal.h"

#define HEADER	sizeof(struct vsock_header)
#define MAX_IOV	64

/* ---- To the guest ---- */

void vsock_conn_ready(struct vsock_conn *c)
{
	if (c->ready || c->state == VSOCK_DEAD)
		return;
	c->ready = true;
	c->ready_next = NULL;
	*c->vs->ready_tail = c;
	c->vs->ready_tail = &c->ready_next;
}

void vsock_conn_say(struct vsock_conn *c, unsigned int op)
{
	c->pending |= 1u << op;
	vsock_conn_ready(c);
}

void vsock_send_reset(struct virtio_vsock *vs, uint32_t guest_port, uint32_t host_port)
{
	unsigned int at = (vs->reset_head + vs->nr_resets) % VSOCK_MAX_RESETS;

	/* vsock_tx_kicked() sees to it that there is room. */
	if (vs->nr_resets == VSOCK_MAX_RESETS)
		return;
	vs->reset[at] = (struct vsock_reset){ guest_port, host_port };
	vs->nr_resets++;
}

static struct vsock_conn *ready_take(struct virtio_vsock *vs)
{
	struct vsock_conn *c = vs->ready_head;

	vs->ready_head = c->ready_next;
	if (!vs->ready_head)
		vs->ready_tail = &vs->ready_head;
	c->ready = false;
	return c;
}

/* How much the guest can take now. */
static uint32_t conn_credit(const struct vsock_conn *c)
{
	uint32_t used = c->rx_cnt - c->peer_fwd;

	return used < c->peer_alloc ? c->peer_alloc - used : 0;
}

static void push_packet(struct virtio_vsock *vs, const struct virtq_chain *chain,
			struct vsock_header *h)
{
	struct virtq *vq = &vs->dev.vqs[VSOCK_RX];

	h->src_cid = VSOCK_CID_HOST;
	h->dst_cid = vs->cid;
	h->type = VSOCK_TYPE_STREAM;
	virtq_iov_from_buf(chain->iov + chain->out_num, chain->in_num, 0, h, sizeof(*h));
	virtq_push(vq, chain->head, (uint32_t)HEADER + h->len);
}

static void push_reset(struct virtio_vsock *vs, const struct virtq_chain *chain)
{
	const struct vsock_reset *r = &vs->reset[vs->reset_head];
	struct vsock_header h = {
		.src_port = r->host_port, .dst_port = r->guest_port, .op = VSOCK_OP_RST,
	};

	vs->reset_head = (vs->reset_head + 1) % VSOCK_MAX_RESETS;
	vs->nr_resets--;
	push_packet(vs, chain, &h);
}

static void conn_push(struct vsock_conn *c, const struct virtq_chain *chain, struct vsock_header *h)
{
	h->src_port = c->host_port;
	h->dst_port = c->guest_port;
	h->buf_alloc = VSOCK_BUFFER;
	h->fwd_cnt = c->fwd_cnt;
	c->told_fwd = c->fwd_cnt;
	push_packet(c->vs, chain, h);
}

static void conn_push_control(struct vsock_conn *c, const struct virtq_chain *chain)
{
	/* What opens comes first, what ends comes last. */
	static const uint16_t order[] = {
		VSOCK_OP_REQUEST, VSOCK_OP_RESPONSE, VSOCK_OP_CREDIT_UPDATE,
		VSOCK_OP_CREDIT_REQUEST, VSOCK_OP_SHUTDOWN,
	};
	struct vsock_header h = { 0 };
	unsigned int i = 0;

	while (!(c->pending >> order[i] & 1))
		i++;
	h.op = order[i];
	if (h.op == VSOCK_OP_SHUTDOWN)
		h.flags = c->shutdown_flags;
	c->pending &= ~(1u << h.op);
	conn_push(c, chain, &h);
}

/* The part of @chain's buffers behind the header, at most @len bytes; returns the parts. */
static unsigned int data_iov(const struct virtq_chain *chain, uint32_t len, struct iovec *out)
{
	const struct iovec *iov = chain->iov + chain->out_num;
	size_t skip = HEADER, left = len;
	unsigned int parts = 0;

	for (unsigned int i = 0; i < chain->in_num && left && parts < MAX_IOV; i++) {
		size_t part = iov[i].iov_len;

		if (skip >= part) {
			skip -= part;
			continue;
		}
		part -= skip;
		part = part < left ? part : left;
		out[parts++] = (struct iovec){ (char *)iov[i].iov_base + skip, part };
		left -= part;
		skip = 0;
	}
	return parts;
}

/* The socket has no more to read: say so, in both directions if it is closed altogether. */
static void conn_ended(struct vsock_conn *c)
{
	struct pollfd p = { .fd = c->fd };
	bool gone = poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR));

	c->ended = true;
	c->readable = false;
	c->shutdown_flags = VSOCK_SHUTDOWN_SEND | (gone ? VSOCK_SHUTDOWN_RCV : 0);
	vsock_conn_say(c, VSOCK_OP_SHUTDOWN);
}

/* Returns false if @chain was not used. */
static bool conn_push_data(struct vsock_conn *c, const struct virtq_chain *chain)
{
	uint32_t credit = conn_credit(c);
	struct vsock_header h = { .op = VSOCK_OP_RW };
	struct iovec iov[MAX_IOV];
	struct msghdr msg = { .msg_iov = iov };
	ssize_t n;

	if (!credit) {
		if (!c->asked_credit)
			c->pending |= 1u << VSOCK_OP_CREDIT_REQUEST;
		c->asked_credit = true;
		return false;
	}
	msg.msg_iovlen = data_iov(chain, credit < VSOCK_MAX_DATA ? credit : VSOCK_MAX_DATA, iov);
	if (!msg.msg_iovlen)
		return false;
	n = recvmsg(c->fd, &msg, MSG_DONTWAIT);
	if (n > 0) {
		h.len = (uint32_t)n;
		c->rx_cnt += h.len;
		vsock_count(c->vs, VSOCK_STAT_RX_BYTES, h.len);
		conn_push(c, chain, &h);
		return true;
	}
	if (!n || (errno != EAGAIN && errno != EINTR))
		conn_ended(c);
	c->readable = false;
	return false;
}

static bool conn_has_data(const struct vsock_conn *c)
{
	return c->state == VSOCK_CONNECTED && c->readable && !c->guest_deaf &&
	       (conn_credit(c) || !c->asked_credit);
}

/* Let the first of the ready connections use the chain; false if it did not. */
static bool ready_push(struct virtio_vsock *vs, const struct virtq_chain *chain)
{
	struct vsock_conn *c = ready_take(vs);
	bool used = false;

	if (c->state == VSOCK_DEAD)
		return false;
	if (c->pending) {
		conn_push_control(c, chain);
		used = true;
	} else if (conn_has_data(c)) {
		used = conn_push_data(c, chain);
	}
	if (c->pending || conn_has_data(c))
		vsock_conn_ready(c);
	vsock_conn_update(c);
	return used;
}

void vsock_fill_rx(struct virtio_vsock *vs)
{
	struct virtq *vq = &vs->dev.vqs[VSOCK_RX];
	unsigned int budget = 2 * vq->size;
	struct virtq_chain chain;

	if (!vs->running || !vs->kick[VSOCK_RX] || virtio_dev_is_broken(&vs->dev))
		return;
	while ((vs->nr_resets || vs->ready_head) && budget) {
		int ret = virtq_pop(vq, &chain);

		budget--;
		if (ret < 0)
			break;
		if (!ret) {
			if (virtq_enable_kicks(vq))
				continue;
			break;		/* until the guest kicks */
		}
		if (chain.in_len <= HEADER) {
			virtio_dev_fail(&vs->dev, "receive buffer of %llu bytes",
					(unsigned long long)chain.in_len);
			break;
		}
		if (vs->nr_resets)
			push_reset(vs, &chain);
		else if (!ready_push(vs, &chain))
			virtq_unpop(vq);
	}
	virtq_flush(vq);
	if (!budget && !virtio_dev_is_broken(&vs->dev))
		virtio_dev_notify_queue(&vs->dev, VSOCK_RX);
}

void vsock_rx_kicked(void *opaque, uint32_t events)
{
	struct virtio_vsock *vs = opaque;
	bool full = vs->nr_resets == VSOCK_MAX_RESETS;

	virtq_clear_kick(&vs->dev.vqs[VSOCK_RX]);
	vsock_fill_rx(vs);
	if (full && vs->nr_resets < VSOCK_MAX_RESETS)
		virtio_dev_notify_queue(&vs->dev, VSOCK_TX);
}

/* ---- From the guest ---- */

static void handle_request(struct virtio_vsock *vs, const struct vsock_header *h)
{
	struct vsock_conn *c = vsock_conn_open(vs, h->src_port, h->dst_port);

	if (!c) {
		vsock_count(vs, VSOCK_STAT_REFUSED, 1);
		vsock_send_reset(vs, h->src_port, h->dst_port);
		return;
	}
	c->peer_alloc = h->buf_alloc;
	c->peer_fwd = h->fwd_cnt;
	vsock_conn_say(c, VSOCK_OP_RESPONSE);
	vsock_conn_update(c);
}

/* Something is wrong with it, or the guest wants it so. */
static void reset_conn(struct vsock_conn *c)
{
	vsock_send_reset(c->vs, c->guest_port, c->host_port);
	vsock_conn_close(c);
}

static void handle_data(struct vsock_conn *c, const struct vsock_header *h,
			const struct virtq_chain *chain)
{
	if (c->state != VSOCK_CONNECTED || c->guest_ended ||
	    !vsock_conn_write(c, chain->iov, chain->out_num, HEADER, h->len))
		reset_conn(c);
}

static void handle_conn(struct vsock_conn *c, const struct vsock_header *h,
			const struct virtq_chain *chain)
{
	c->peer_alloc = h->buf_alloc;
	c->peer_fwd = h->fwd_cnt;
	if (conn_credit(c))
		c->asked_credit = false;
	switch (h->op) {
	case VSOCK_OP_RESPONSE:
		if (c->state == VSOCK_REQUESTED)
			vsock_conn_accepted(c);
		else
			reset_conn(c);
		break;
	case VSOCK_OP_RST:
		vsock_conn_close(c);
		break;
	case VSOCK_OP_SHUTDOWN:
		vsock_conn_guest_shutdown(c, h->flags);
		break;
	case VSOCK_OP_RW:
		handle_data(c, h, chain);
		break;
	case VSOCK_OP_CREDIT_UPDATE:
		break;
	case VSOCK_OP_CREDIT_REQUEST:
		vsock_conn_say(c, VSOCK_OP_CREDIT_UPDATE);
		break;
	default:
		reset_conn(c);
		break;
	}
	if (c->state == VSOCK_DEAD)
		return;
	if (conn_has_data(c))
		vsock_conn_ready(c);
	vsock_conn_update(c);
}

/* Returns false if the device is broken now. */
static bool handle_packet(struct virtio_vsock *vs, const struct virtq_chain *chain)
{
	struct vsock_conn *c;
	struct vsock_header h;

	if (virtq_iov_to_buf(chain->iov, chain->out_num, 0, &h, sizeof(h)) < sizeof(h) ||
	    h.len > chain->out_len - HEADER || h.len > VSOCK_MAX_DATA) {
		virtio_dev_fail(&vs->dev, "packet of %llu bytes that cannot be right",
				(unsigned long long)chain->out_len);
		return false;
	}
	/* Not from this guest, or not for this host: nobody's. */
	if (h.src_cid != vs->cid || h.dst_cid != VSOCK_CID_HOST)
		return true;
	c = vsock_conn_find(vs, h.src_port, h.dst_port);
	if (h.type != VSOCK_TYPE_STREAM)
		vsock_send_reset(vs, h.src_port, h.dst_port);
	else if (c)
		handle_conn(c, &h, chain);
	else if (h.op == VSOCK_OP_REQUEST)
		handle_request(vs, &h);
	else if (h.op != VSOCK_OP_RST)
		vsock_send_reset(vs, h.src_port, h.dst_port);
	return true;
}

void vsock_tx_kicked(void *opaque, uint32_t events)
{
	struct virtio_vsock *vs = opaque;
	struct virtq *vq = &vs->dev.vqs[VSOCK_TX];
	unsigned int budget = vq->size;
	struct virtq_chain chain;

	virtq_clear_kick(vq);
	do {
		virtq_disable_kicks(vq);
		while (budget && vs->nr_resets < VSOCK_MAX_RESETS && virtq_pop(vq, &chain) > 0) {
			if (!handle_packet(vs, &chain))
				return;
			virtq_push(vq, chain.head, 0);
			budget--;
		}
		virtq_flush(vq);
		vsock_fill_rx(vs);
		if (virtio_dev_is_broken(&vs->dev))
			return;
		/* Full of resets: vsock_rx_kicked() goes on. */
		if (vs->nr_resets == VSOCK_MAX_RESETS)
			return;
		if (!budget) {
			virtio_dev_notify_queue(&vs->dev, VSOCK_TX);
			return;
		}
	} while (virtq_enable_kicks(vq));
}
