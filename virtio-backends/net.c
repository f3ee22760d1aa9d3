// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtio network device; see net.h. This file is the device: configuration, threads, start and
 * stop. Packets are in net_queue.c, control commands in net_ctrl.c.
 */
#include "net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "net_internal.h"

#define NET_DEFAULT_QUEUE_SIZE	256
#define NET_STATE_VERSION	1

/* ---- Configuration ---- */

static void net_config_read(struct virtio_dev *dev, uint32_t off, void *buf, uint32_t len)
{
	struct virtio_net *net = to_virtio_net(dev);
	struct net_config_space config = {
		.status = (uint16_t)((atomic_load(&net->link_down) ? 0 : VIRTIO_NET_S_LINK_UP) |
				     (atomic_load(&net->announce) ? VIRTIO_NET_S_ANNOUNCE : 0)),
		.max_virtqueue_pairs = (uint16_t)net->max_pairs,
	};

	pthread_mutex_lock(&net->mac_lock);
	memcpy(config.mac, net->mac, sizeof(config.mac));
	pthread_mutex_unlock(&net->mac_lock);
	memcpy(buf, (const uint8_t *)&config + off, len);
}

static void net_link(void *opaque, bool up)
{
	struct net_pair *p = opaque;

	atomic_store(&p->net->link_down, !up);
	virtio_dev_config_changed(&p->net->dev);
}

/* ---- Start and stop ---- */

static void net_do_start_pair(void *opaque)
{
	struct net_pair *p = opaque;

	net_pair_start(p);
}

static void net_do_stop_pair(void *opaque)
{
	net_pair_stop(opaque);
}

static void net_do_start_ctrl(void *opaque)
{
	struct virtio_net *net = opaque;

	net->ctrl_kick = hv_loop_add_fd(net->pair[0].loop, net->ctrl->kick_fd, EPOLLIN,
					net_ctrl_kicked, net);
}

static void net_do_stop_ctrl(void *opaque)
{
	struct virtio_net *net = opaque;

	hv_loop_del_fd(net->ctrl_kick);
	net->ctrl_kick = NULL;
}

static void net_stop(struct virtio_dev *dev)
{
	struct virtio_net *net = to_virtio_net(dev);

	/* Commands first: they reach the other pairs. */
	hv_loop_call(net->pair[0].loop, net_do_stop_ctrl, net);
	if (net->vhost) {
		net_vhost_stop(net);
		return;
	}
	for (unsigned int i = 0; i < net->max_pairs; i++)
		hv_loop_call(net->pair[i].loop, net_do_stop_pair, &net->pair[i]);
}

static int net_start_pairs(struct virtio_net *net)
{
	unsigned int pairs = net_usable_pairs(net);

	if (net->vhost)
		return net_vhost_start(net);
	for (unsigned int i = 0; i < pairs; i++) {
		hv_loop_call(net->pair[i].loop, net_do_start_pair, &net->pair[i]);
		if (!net->pair[i].running)
			return -ENOMEM;
	}
	return 0;
}

/* Receiving begins with the first pair, so that those in use have no gaps. */
static unsigned int net_enabled_pairs(const struct virtio_net *net)
{
	unsigned int n = 1;

	while (n < net_usable_pairs(net) && net->pair[n].rx->enabled)
		n++;
	return n;
}

static int net_start(struct virtio_dev *dev)
{
	struct virtio_net *net = to_virtio_net(dev);
	int ret;

	/* Without MQ the control queue takes the place of the second pair (virtio 1.2, 5.1.2). */
	net->ctrl = &dev->vqs[2 * net_usable_pairs(net)];
	if (!net->offloads_set)
		net->offloads = dev->driver_features & VIRTIO_NET_GUEST_OFFLOADS;
	net->offloads_set = true;
	if (net->pairs_by_queues)
		net->pairs_in_use = net_enabled_pairs(net);
	ret = net_apply_offloads(net);
	net_apply_filter(net);
	if (!ret)
		ret = net_apply_pairs(net);
	if (!ret)
		ret = net_start_pairs(net);
	if (!ret && net->ctrl->enabled && virtio_dev_has_feature(dev, VIRTIO_NET_F_CTRL_VQ)) {
		hv_loop_call(net->pair[0].loop, net_do_start_ctrl, net);
		ret = net->ctrl_kick ? 0 : -ENOMEM;
	}
	if (ret) {
		net_stop(dev);
		return ret;
	}
	if (net->announce_at_start) {
		net->announce_at_start = false;
		atomic_store(&net->announce, true);
		virtio_dev_config_changed(dev);
	}
	return 0;
}

static void net_reset(struct virtio_dev *dev)
{
	struct virtio_net *net = to_virtio_net(dev);

	pthread_mutex_lock(&net->mac_lock);
	memcpy(net->mac, net->default_mac, sizeof(net->mac));
	pthread_mutex_unlock(&net->mac_lock);
	net_filter_reset(&net->filter, net->default_mac);
	net->pairs_in_use = 1;
	net->offloads = 0;
	net->offloads_set = false;
	net->announce_at_start = false;
	atomic_store(&net->announce, false);
}

/* ---- State and statistics ---- */

static void save_macs(struct hv_state_writer *w, const struct net_mac_table *t)
{
	hv_state_put_u8(w, t->overflow);
	hv_state_put_u32(w, t->nr);
	hv_state_put(w, t->mac, (size_t)t->nr * ETH_ADDR_LEN);
}

static void net_save(struct virtio_dev *dev, struct hv_state_writer *w)
{
	struct virtio_net *net = to_virtio_net(dev);
	const struct net_filter *f = &net->filter;

	hv_state_begin(w, "virtio-net", NET_STATE_VERSION);
	hv_state_put(w, net->mac, sizeof(net->mac));
	hv_state_put(w, f->mode, sizeof(f->mode));
	save_macs(w, &f->uni);
	save_macs(w, &f->multi);
	for (unsigned int i = 0; i < NET_VLANS / 64; i++)
		hv_state_put_u64(w, f->vlan[i]);
	hv_state_put_u16(w, (uint16_t)net->pairs_in_use);
	hv_state_put_u8(w, net->offloads_set);
	hv_state_put_u64(w, net->offloads);
	hv_state_end(w);
}

static int load_macs(struct hv_state_reader *r, struct net_mac_table *t)
{
	t->overflow = hv_state_get_u8(r) & 1;
	t->nr = hv_state_get_u32(r);
	if (t->nr > NET_MAX_MACS)
		return -EINVAL;
	hv_state_get(r, t->mac, (size_t)t->nr * ETH_ADDR_LEN);
	return 0;
}

static int net_load(struct virtio_dev *dev, struct hv_state_reader *r, struct hv_err *err)
{
	struct virtio_net *net = to_virtio_net(dev);
	struct net_filter *f = &net->filter;
	int ret = hv_state_open(r, "virtio-net", NET_STATE_VERSION, err);

	if (ret < 0)
		return ret;
	hv_state_get(r, net->mac, sizeof(net->mac));
	memcpy(f->mac, net->mac, sizeof(f->mac));
	hv_state_get(r, f->mode, sizeof(f->mode));
	if (load_macs(r, &f->uni) || load_macs(r, &f->multi))
		return hv_err_set(err, -EINVAL, "%s: the state has too long a list of addresses",
				  dev->id);
	for (unsigned int i = 0; i < NET_VLANS / 64; i++)
		f->vlan[i] = hv_state_get_u64(r);
	net->pairs_in_use = hv_state_get_u16(r);
	net->offloads_set = hv_state_get_u8(r) & 1;
	net->offloads = hv_state_get_u64(r);
	ret = hv_state_close(r, err);
	if (ret)
		return ret;
	if (!net->pairs_in_use || net->pairs_in_use > net->max_pairs ||
	    (net->offloads & ~(dev->driver_features & VIRTIO_NET_GUEST_OFFLOADS)))
		return hv_err_set(err, -EINVAL, "%s: the state has %u pairs of queues and offloads "
				  "0x%llx, which the guest cannot use", dev->id, net->pairs_in_use,
				  (unsigned long long)net->offloads);
	/* Switches must learn where the guest is now (virtio 1.2, 5.1.6.5.4). */
	net->announce_at_start = virtio_dev_has_feature(dev, VIRTIO_NET_F_GUEST_ANNOUNCE);
	return 0;
}

static void net_stats(struct virtio_dev *dev, virtio_stat_fn fn, void *opaque)
{
	static const char *const names[NET_NR_STATS] = {
		[NET_STAT_RX_PACKETS] = "rx_packets",
		[NET_STAT_RX_BYTES] = "rx_bytes",
		[NET_STAT_RX_FILTERED] = "rx_filtered",
		[NET_STAT_RX_DROPPED] = "rx_dropped",
		[NET_STAT_TX_PACKETS] = "tx_packets",
		[NET_STAT_TX_BYTES] = "tx_bytes",
		[NET_STAT_TX_DROPPED] = "tx_dropped",
	};
	struct virtio_net *net = to_virtio_net(dev);
	uint64_t sum[NET_NR_STATS] = { 0 };

	/* The host's kernel counts what it moves itself, at the interface. */
	if (net->vhost)
		return;
	for (unsigned int i = 0; i < net->max_pairs; i++)
		for (unsigned int s = 0; s < NET_NR_STATS; s++)
			sum[s] += atomic_load_explicit(&net->pair[i].stat[s],
						       memory_order_relaxed);
	for (unsigned int s = 0; s < NET_NR_STATS; s++)
		fn(opaque, names[s], sum[s]);
}

/* ---- Life ---- */

struct pair_create {
	struct net_pair *p;
	const struct virtio_net_config *cfg;
	struct hv_err *err;
	int ret;
};

/* On the pair's thread. */
static void net_do_create_pair(void *opaque)
{
	struct pair_create *c = opaque;
	struct net_pair *p = c->p;

	c->ret = net_pair_create_timers(p) ? -ENOMEM : 0;
	if (c->ret) {
		hv_err_set(c->err, c->ret, "%s: out of memory", p->net->dev.id);
		return;
	}
	c->ret = c->cfg->create_port(c->cfg->opaque, p->index, p->loop, &p->port, c->err);
	if (c->ret)
		return;
	p->port->ready = net_port_ready;
	p->port->link = net_link;
	p->port->opaque = p;
}

static void net_do_destroy_pair(void *opaque)
{
	struct net_pair *p = opaque;

	if (p->port)
		p->port->ops->destroy(p->port);
	hv_loop_del_timer(p->rx_timer);
	hv_loop_del_timer(p->tx_timer);
}

static int net_create_pair(struct virtio_net *net, unsigned int i,
			   const struct virtio_net_config *cfg, struct hv_err *err)
{
	struct net_pair *p = &net->pair[i];
	struct pair_create c = { .p = p, .cfg = cfg, .err = err };
	char name[40];
	int ret;

	p->net = net;
	p->index = i;
	p->rx = &net->dev.vqs[2 * i];
	p->tx = &net->dev.vqs[2 * i + 1];
	/* With vhost there is only control to do, which one thread does. */
	if (cfg->vhost_tap && i)
		return 0;
	snprintf(name, sizeof(name), "%s-%u", net->dev.id, i);
	ret = hv_io_thread_start(name, &p->thread);
	if (ret)
		return hv_err_set(err, ret, "%s: no thread for queue %u: %s", net->dev.id, i,
				  strerror(-ret));
	p->loop = hv_io_thread_loop(p->thread);
	if (cfg->vhost_tap)
		return 0;
	p->overflow = malloc(NET_MAX_PACKET);
	if (!p->overflow)
		return hv_err_set(err, -ENOMEM, "%s: out of memory", net->dev.id);
	hv_loop_call(p->loop, net_do_create_pair, &c);
	return c.ret;
}

static void net_destroy(struct virtio_dev *dev)
{
	struct virtio_net *net = to_virtio_net(dev);

	if (net->vhost)
		net_vhost_destroy(net->vhost);
	for (unsigned int i = 0; i < net->max_pairs; i++) {
		struct net_pair *p = &net->pair[i];

		if (p->thread)
			hv_loop_call(p->loop, net_do_destroy_pair, p);
		hv_io_thread_stop(p->thread);
		free(p->overflow);
	}
	hv_limit_fini(&net->rx_limit);
	hv_limit_fini(&net->tx_limit);
	pthread_mutex_destroy(&net->mac_lock);
	virtio_dev_fini(dev);
	free(net);
}

static const struct virtio_dev_ops net_ops = {
	.name = "net",
	.device_id = VIRTIO_ID_NETWORK,
	.config_len = sizeof(struct net_config_space),
	.config_read = net_config_read,
	.start = net_start,
	.stop = net_stop,
	.reset = net_reset,
	.save = net_save,
	.load = net_load,
	.stats = net_stats,
	.destroy = net_destroy,
};

static uint64_t net_features(const struct virtio_net_config *cfg, unsigned int pairs)
{
	uint64_t f = cfg->features | VIRTIO_FEATURE(VIRTIO_NET_F_MAC) |
		     VIRTIO_FEATURE(VIRTIO_NET_F_MRG_RXBUF) | VIRTIO_FEATURE(VIRTIO_NET_F_STATUS) |
		     VIRTIO_FEATURE(VIRTIO_NET_F_CTRL_VQ) |
		     VIRTIO_FEATURE(VIRTIO_NET_F_CTRL_MAC_ADDR) |
		     VIRTIO_FEATURE(VIRTIO_NET_F_GUEST_ANNOUNCE);

	if (pairs > 1)
		f |= VIRTIO_FEATURE(VIRTIO_NET_F_MQ);
	if (f & VIRTIO_NET_GUEST_OFFLOADS)
		f |= VIRTIO_FEATURE(VIRTIO_NET_F_CTRL_OFFLOADS);
	/* The host's kernel passes everything. */
	if (!cfg->vhost_tap)
		f |= VIRTIO_FEATURE(VIRTIO_NET_F_CTRL_RX) |
		     VIRTIO_FEATURE(VIRTIO_NET_F_CTRL_RX_EXTRA) |
		     VIRTIO_FEATURE(VIRTIO_NET_F_CTRL_VLAN);
	return f;
}

int virtio_net_create(const struct virtio_net_config *cfg, struct virtio_dev **dev,
		      struct hv_err *err)
{
	unsigned int pairs = cfg->pairs ? cfg->pairs : 1;
	unsigned int size = cfg->queue_size ? cfg->queue_size : NET_DEFAULT_QUEUE_SIZE;
	const char *id = cfg->id ? cfg->id : "net";
	struct virtio_net *net;
	int ret;

	if (pairs > VIRTIO_NET_MAX_PAIRS)
		return hv_err_set(err, -EINVAL, "%s: %u pairs of queues, up to %u are possible", id,
				  pairs, VIRTIO_NET_MAX_PAIRS);
	net = calloc(1, sizeof(*net) + pairs * sizeof(net->pair[0]));
	if (!net)
		return hv_err_set(err, -ENOMEM, "%s: out of memory", id);
	ret = virtio_dev_init(&net->dev, &net_ops, id, net_features(cfg, pairs), 2 * pairs + 1,
			      size, err);
	if (ret) {
		free(net);
		return ret;
	}
	net->max_pairs = pairs;
	net->pairs_by_queues = cfg->pairs_by_queues;
	pthread_mutex_init(&net->mac_lock, NULL);
	hv_limit_init(&net->rx_limit, cfg->limit_packets, cfg->limit_bytes);
	hv_limit_init(&net->tx_limit, cfg->limit_packets, cfg->limit_bytes);
	memcpy(net->default_mac, cfg->mac, sizeof(net->default_mac));
	net_reset(&net->dev);
	for (unsigned int i = 0; i < pairs && !ret; i++)
		ret = net_create_pair(net, i, cfg, err);
	if (!ret && cfg->vhost_tap)
		ret = net_vhost_create(net, cfg->vhost_tap, err);
	if (ret) {
		net_destroy(&net->dev);
		return ret;
	}
	*dev = &net->dev;
	return 0;
}
