// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Packets of the virtio network device; see net.h.
 *
 * A packet is received straight into the guest's next chain, with a buffer of ours behind it for
 * what does not fit; only that part is copied, into further chains if the driver can merge them.
 * What the driver did not want to have is seen when it is in its buffer already: the chain goes
 * back to the queue untouched but for its contents.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "net_internal.h"

#define ETH_TYPE_OFF	12
#define ETH_TYPE_VLAN	0x8100
#define ETH_HEAD	18	/* with one VLAN tag */
#define VLAN_ID_MASK	0x0fff

static void net_count(struct net_pair *p, enum net_stat s, uint64_t n)
{
	/* One writer: no need of an atomic addition. */
	atomic_store_explicit(&p->stat[s],
			      atomic_load_explicit(&p->stat[s], memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/* ---- Filter ---- */

void net_filter_reset(struct net_filter *f, const uint8_t mac[ETH_ADDR_LEN])
{
	memset(f, 0, sizeof(*f));
	memcpy(f->mac, mac, ETH_ADDR_LEN);
	/* A driver that knows nothing of filters gets everything. */
	f->mode[RX_PROMISC] = 1;
}

static bool mac_table_has(const struct net_mac_table *t, const uint8_t *mac)
{
	if (t->overflow)
		return true;
	for (uint32_t i = 0; i < t->nr; i++)
		if (!memcmp(t->mac[i], mac, ETH_ADDR_LEN))
			return true;
	return false;
}

static bool vlan_passes(const struct net_filter *f, const uint8_t *frame)
{
	unsigned int type = (unsigned int)frame[ETH_TYPE_OFF] << 8 | frame[ETH_TYPE_OFF + 1];
	unsigned int id = ((unsigned int)frame[ETH_TYPE_OFF + 2] << 8 | frame[ETH_TYPE_OFF + 3]) &
			  VLAN_ID_MASK;

	return !f->check_vlan || type != ETH_TYPE_VLAN || (f->vlan[id / 64] >> (id % 64) & 1);
}

bool net_filter_passes(const struct net_filter *f, const uint8_t *frame)
{
	static const uint8_t broadcast[ETH_ADDR_LEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	if (!vlan_passes(f, frame))
		return false;
	if (f->mode[RX_PROMISC])
		return true;
	if (!memcmp(frame, broadcast, ETH_ADDR_LEN))
		return !f->mode[RX_NOBCAST];
	if (frame[0] & 1)
		return !f->mode[RX_NOMULTI] &&
		       (f->mode[RX_ALLMULTI] || mac_table_has(&f->multi, frame));
	return !f->mode[RX_NOUNI] && (f->mode[RX_ALLUNI] ||
	       !memcmp(frame, f->mac, ETH_ADDR_LEN) || mac_table_has(&f->uni, frame));
}

/* ---- To the guest ---- */

enum rx_result { RX_MORE, RX_NOTHING, RX_NO_BUFFERS, RX_LIMITED, RX_BROKEN };

/* Chains that a packet lies in. */
struct rx_used {
	uint16_t head[VIRTQ_MAX_SIZE];
	uint32_t len[VIRTQ_MAX_SIZE];
	unsigned int nr;
};

static void rx_give_back(struct virtq *vq, unsigned int chains)
{
	while (chains--)
		virtq_unpop(vq);
}

/* Copy the @left bytes that did not fit into the first chain into more of them. */
static bool rx_spill(struct net_pair *p, struct rx_used *used, size_t left)
{
	const uint8_t *from = p->overflow;
	struct virtq_chain c;

	while (left) {
		size_t n;

		if (used->nr == p->rx->size || virtq_pop(p->rx, &c) <= 0)
			return false;
		n = virtq_iov_from_buf(c.iov + c.out_num, c.in_num, 0, from, left);
		used->head[used->nr] = c.head;
		used->len[used->nr++] = (uint32_t)n;
		from += n;
		left -= n;
		/* A chain without room gets the packet nowhere, but it is used up. */
	}
	return true;
}

/* The packet is in the guest's memory; @used says where. */
static void rx_deliver(struct net_pair *p, const struct rx_used *used, unsigned int iovcnt)
{
	uint16_t nr = (uint16_t)used->nr;

	virtq_iov_from_buf(p->iov, iovcnt, offsetof(struct net_header, num_buffers), &nr,
			   sizeof(nr));
	for (unsigned int i = 0; i < used->nr; i++)
		virtq_push(p->rx, used->head[i], used->len[i]);
}

/* Take the first chain and make p->iov of it; NULL result: see *@res. */
static bool rx_take_chain(struct net_pair *p, struct virtq_chain *c, enum rx_result *res)
{
	int ret = virtq_pop(p->rx, c);

	if (ret <= 0) {
		*res = ret ? RX_BROKEN : RX_NO_BUFFERS;
		return false;
	}
	if (c->in_len < sizeof(struct net_header) || c->in_num > NET_MAX_IOV) {
		virtio_dev_fail(&p->net->dev, "queue %u: receive buffer of %llu bytes in %u parts",
				p->rx->index, (unsigned long long)c->in_len, c->in_num);
		*res = RX_BROKEN;
		return false;
	}
	memcpy(p->iov, c->iov + c->out_num, c->in_num * sizeof(*p->iov));
	p->iov[c->in_num] = (struct iovec){ p->overflow, NET_MAX_PACKET };
	return true;
}

static enum rx_result net_receive_one(struct net_pair *p)
{
	uint64_t until = hv_limit_wait_now(&p->net->rx_limit);
	uint8_t frame[ETH_HEAD] = { 0 };
	struct rx_used used = { .nr = 1 };
	struct virtq_chain c;
	enum rx_result res;
	ssize_t n;

	if (until) {
		hv_loop_arm_timer(p->rx_timer, until);
		return RX_LIMITED;
	}
	if (!rx_take_chain(p, &c, &res))
		return res;
	n = p->port->ops->receive(p->port, p->iov, (int)c.in_num + 1);
	if (n < 0) {
		virtq_unpop(p->rx);
		return RX_NOTHING;
	}
	virtq_iov_to_buf(p->iov, c.in_num + 1, sizeof(struct net_header), frame, sizeof(frame));
	if (n < (ssize_t)(sizeof(struct net_header) + ETH_MIN_FRAME) ||
	    !net_filter_passes(&p->filter, frame)) {
		net_count(p, NET_STAT_RX_FILTERED, 1);
		virtq_unpop(p->rx);
		return RX_MORE;
	}
	used.head[0] = c.head;
	used.len[0] = (uint32_t)((uint64_t)n < c.in_len ? (uint64_t)n : c.in_len);
	if ((uint64_t)n > c.in_len &&
	    (!p->mergeable || !rx_spill(p, &used, (size_t)n - (size_t)c.in_len))) {
		net_count(p, NET_STAT_RX_DROPPED, 1);
		rx_give_back(p->rx, used.nr);
		return p->rx->broken ? RX_BROKEN : RX_MORE;
	}
	rx_deliver(p, &used, c.in_num);
	net_count(p, NET_STAT_RX_PACKETS, 1);
	net_count(p, NET_STAT_RX_BYTES, (uint64_t)n - sizeof(struct net_header));
	hv_limit_charge(&p->net->rx_limit, 1, (uint64_t)n - sizeof(struct net_header));
	return RX_MORE;
}

static void net_receive(struct net_pair *p)
{
	unsigned int budget = p->rx->size;
	enum rx_result res = RX_MORE;

	if (!p->active)
		return;
	while (res == RX_MORE && budget) {
		res = net_receive_one(p);
		budget--;
		/* Buffers may have come while we looked. */
		if (res == RX_NO_BUFFERS && virtq_enable_kicks(p->rx))
			res = RX_MORE;
	}
	virtq_flush(p->rx);
	switch (res) {
	case RX_NO_BUFFERS:
		p->rx_wait = RX_WAIT_BUFFERS;
		break;
	case RX_LIMITED:
		p->rx_wait = RX_WAIT_LIMIT;
		break;
	case RX_MORE:
	case RX_NOTHING:
		p->rx_wait = RX_WAIT_HOST;
		p->port->ops->want(p->port, true, false);
		break;
	case RX_BROKEN:
		break;
	}
}

static void net_rx_kicked(void *opaque, uint32_t events)
{
	struct net_pair *p = opaque;

	virtq_clear_kick(p->rx);
	if (p->rx_wait == RX_WAIT_BUFFERS && !virtio_dev_is_broken(&p->net->dev))
		net_receive(p);
}

static void net_rx_timer(void *opaque)
{
	struct net_pair *p = opaque;

	if (!virtio_dev_is_broken(&p->net->dev))
		net_receive(p);
}

/* ---- From the guest ---- */

/* Returns false when there is nothing more to do now. */
static bool net_send_one(struct net_pair *p)
{
	uint64_t until = hv_limit_wait_now(&p->net->tx_limit);
	struct virtq_chain c;
	int ret = -EINVAL;

	if (until) {
		hv_loop_arm_timer(p->tx_timer, until);
		p->tx_blocked = true;
		return false;
	}
	if (virtq_pop(p->tx, &c) <= 0)
		return false;
	if (c.out_num <= NET_MAX_IOV && c.out_len <= NET_MAX_PACKET &&
	    c.out_len >= sizeof(struct net_header) + ETH_MIN_FRAME)
		ret = p->port->ops->send(p->port, c.iov, (int)c.out_num, c.out_len);
	if (ret == -EAGAIN) {
		virtq_unpop(p->tx);
		p->tx_blocked = true;
		p->port->ops->want(p->port, false, true);
		return false;
	}
	if (ret) {
		net_count(p, NET_STAT_TX_DROPPED, 1);
	} else {
		net_count(p, NET_STAT_TX_PACKETS, 1);
		net_count(p, NET_STAT_TX_BYTES, c.out_len - sizeof(struct net_header));
		hv_limit_charge(&p->net->tx_limit, 1, c.out_len - sizeof(struct net_header));
	}
	virtq_push(p->tx, c.head, 0);
	return true;
}

static void net_transmit(struct net_pair *p)
{
	unsigned int budget = p->tx->size;

	do {
		virtq_disable_kicks(p->tx);
		while (budget && net_send_one(p))
			budget--;
		virtq_flush(p->tx);
		if (p->tx_blocked || virtio_dev_is_broken(&p->net->dev))
			return;
		if (!budget) {
			virtio_dev_notify_queue(&p->net->dev, p->tx->index);
			return;
		}
	} while (virtq_enable_kicks(p->tx));
}

static void net_tx_kicked(void *opaque, uint32_t events)
{
	struct net_pair *p = opaque;

	virtq_clear_kick(p->tx);
	if (!p->tx_blocked)
		net_transmit(p);
}

static void net_tx_timer(void *opaque)
{
	struct net_pair *p = opaque;

	p->tx_blocked = false;
	net_transmit(p);
}

void net_port_ready(void *opaque, bool receive, bool send)
{
	struct net_pair *p = opaque;

	if (!p->running || virtio_dev_is_broken(&p->net->dev))
		return;
	if (receive && p->rx_wait == RX_WAIT_HOST)
		net_receive(p);
	if (send && p->tx_blocked && !hv_loop_timer_armed(p->tx_timer)) {
		p->tx_blocked = false;
		net_transmit(p);
	}
}

/* ---- Start and stop ---- */

int net_pair_create_timers(struct net_pair *p)
{
	p->rx_timer = hv_loop_add_timer(p->loop, net_rx_timer, p);
	p->tx_timer = hv_loop_add_timer(p->loop, net_tx_timer, p);
	return p->rx_timer && p->tx_timer ? 0 : -ENOMEM;
}

void net_pair_set_active(struct net_pair *p, bool active)
{
	p->active = active;
	if (!p->running || !active || !p->rx_kick)
		return;
	/* Whatever it last waited for: look. */
	p->rx_wait = RX_WAIT_BUFFERS;
	virtio_dev_notify_queue(&p->net->dev, p->rx->index);
}

static struct hv_loop_fd *watch_queue(struct net_pair *p, struct virtq *vq, hv_loop_fd_fn fn)
{
	return hv_loop_add_fd(p->loop, vq->kick_fd, EPOLLIN, fn, p);
}

int net_pair_start(struct net_pair *p)
{
	const struct virtio_net *net = p->net;
	int ret = p->port->ops->start(p->port);

	if (ret)
		return ret;
	p->mergeable = virtio_dev_has_feature(&net->dev, VIRTIO_NET_F_MRG_RXBUF);
	p->rx_wait = RX_WAIT_BUFFERS;
	p->tx_blocked = false;
	p->running = true;
	if (p->rx->enabled)
		p->rx_kick = watch_queue(p, p->rx, net_rx_kicked);
	if (p->tx->enabled)
		p->tx_kick = watch_queue(p, p->tx, net_tx_kicked);
	if (!p->rx_kick != !p->rx->enabled || !p->tx_kick != !p->tx->enabled) {
		net_pair_stop(p);
		return -ENOMEM;
	}
	return 0;
}

void net_pair_stop(struct net_pair *p)
{
	if (!p->running)
		return;
	hv_loop_del_fd(p->rx_kick);
	hv_loop_del_fd(p->tx_kick);
	p->rx_kick = NULL;
	p->tx_kick = NULL;
	hv_loop_disarm_timer(p->rx_timer);
	hv_loop_disarm_timer(p->tx_timer);
	p->port->ops->stop(p->port);
	p->running = false;
}
