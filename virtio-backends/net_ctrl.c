// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Control queue of the virtio network device (virtio 1.2, 5.1.6.5): filters, the number of queues
 * in use, offloads, announcements. Runs on the thread of pair 0, and waits there for the threads of
 * the other pairs, which never wait for anybody.
 */
#include <errno.h>
#include <string.h>

#include "net_internal.h"

#define CTRL_HEADER	2	/* class, command */

/* A command: where its data is. */
struct net_ctrl {
	struct virtio_net *net;
	const struct virtq_chain *c;
	uint8_t class, command;
};

/* Copy exactly @len bytes at @off of the command's data; false if they are not there. */
static bool ctrl_get(const struct net_ctrl *cmd, uint64_t off, void *buf, size_t len)
{
	return virtq_iov_to_buf(cmd->c->iov, cmd->c->out_num, CTRL_HEADER + off, buf, len) == len;
}

static bool ctrl_len_is(const struct net_ctrl *cmd, uint64_t len)
{
	return cmd->c->out_len == CTRL_HEADER + len;
}

static bool has_feature(const struct net_ctrl *cmd, unsigned int bit)
{
	return virtio_dev_has_feature(&cmd->net->dev, bit);
}

/* ---- What the driver set goes to those who use it ---- */

struct pair_call {
	struct net_pair *p;
	bool active;
	int ret;
};

static void pair_copy_filter(void *opaque)
{
	struct net_pair *p = opaque;

	p->filter = p->net->filter;
}

void net_apply_filter(struct virtio_net *net)
{
	net->filter.check_vlan = virtio_dev_has_feature(&net->dev, VIRTIO_NET_F_CTRL_VLAN);
	if (net->vhost)
		return;
	for (unsigned int i = 0; i < net->max_pairs; i++)
		hv_loop_call(net->pair[i].loop, pair_copy_filter, &net->pair[i]);
}

static void pair_set_active(void *opaque)
{
	struct pair_call *call = opaque;
	struct net_port *port = call->p->port;

	if (port->ops->enable)
		call->ret = port->ops->enable(port, call->active);
	if (!call->ret)
		net_pair_set_active(call->p, call->active);
}

int net_apply_pairs(struct virtio_net *net)
{
	int ret = 0;

	for (unsigned int i = 0; i < net->max_pairs && !ret; i++) {
		struct pair_call call = { &net->pair[i], i < net->pairs_in_use, 0 };

		if (net->vhost) {
			ret = net_vhost_enable(net->vhost, i, call.active);
			continue;
		}
		hv_loop_call(call.p->loop, pair_set_active, &call);
		ret = call.ret;
	}
	return ret;
}

int net_apply_offloads(struct virtio_net *net)
{
	struct net_port *port = net->pair[0].port;

	if (net->vhost)
		return net_vhost_set_offloads(net->vhost, net->offloads);
	return port->ops->set_offloads ? port->ops->set_offloads(port, net->offloads) : 0;
}

/* ---- Commands: each returns the acknowledgement ---- */

static uint8_t ctrl_rx_mode(const struct net_ctrl *cmd)
{
	unsigned int feature = cmd->command <= RX_ALLMULTI ? VIRTIO_NET_F_CTRL_RX :
							     VIRTIO_NET_F_CTRL_RX_EXTRA;
	uint8_t on;

	if (!has_feature(cmd, feature) || cmd->command >= RX_NR_MODES || !ctrl_len_is(cmd, 1) ||
	    !ctrl_get(cmd, 0, &on, 1))
		return VIRTIO_NET_ERR;
	cmd->net->filter.mode[cmd->command] = !!on;
	net_apply_filter(cmd->net);
	return VIRTIO_NET_OK;
}

/* Read a table at *@off and move *@off behind it. */
static bool ctrl_get_macs(const struct net_ctrl *cmd, uint64_t *off, struct net_mac_table *t)
{
	uint32_t nr;

	if (!ctrl_get(cmd, *off, &nr, sizeof(nr)))
		return false;
	*off += sizeof(nr);
	t->overflow = nr > NET_MAX_MACS;
	t->nr = t->overflow ? 0 : nr;
	if (!ctrl_get(cmd, *off, t->mac, (size_t)t->nr * ETH_ADDR_LEN))
		return false;
	*off += (uint64_t)nr * ETH_ADDR_LEN;
	return *off <= cmd->c->out_len - CTRL_HEADER;
}

static uint8_t ctrl_mac_table(const struct net_ctrl *cmd)
{
	struct net_mac_table uni, multi;
	uint64_t off = 0;

	if (!has_feature(cmd, VIRTIO_NET_F_CTRL_RX) || !ctrl_get_macs(cmd, &off, &uni) ||
	    !ctrl_get_macs(cmd, &off, &multi) || !ctrl_len_is(cmd, off))
		return VIRTIO_NET_ERR;
	cmd->net->filter.uni = uni;
	cmd->net->filter.multi = multi;
	net_apply_filter(cmd->net);
	return VIRTIO_NET_OK;
}

static uint8_t ctrl_mac_address(const struct net_ctrl *cmd)
{
	struct virtio_net *net = cmd->net;
	uint8_t mac[ETH_ADDR_LEN];

	if (!has_feature(cmd, VIRTIO_NET_F_CTRL_MAC_ADDR) || !ctrl_len_is(cmd, sizeof(mac)) ||
	    !ctrl_get(cmd, 0, mac, sizeof(mac)))
		return VIRTIO_NET_ERR;
	pthread_mutex_lock(&net->mac_lock);
	memcpy(net->mac, mac, sizeof(mac));
	pthread_mutex_unlock(&net->mac_lock);
	memcpy(net->filter.mac, mac, sizeof(mac));
	net_apply_filter(net);
	return VIRTIO_NET_OK;
}

static uint8_t ctrl_mac(const struct net_ctrl *cmd)
{
	switch (cmd->command) {
	case MAC_TABLE_SET:
		return ctrl_mac_table(cmd);
	case MAC_ADDR_SET:
		return ctrl_mac_address(cmd);
	default:
		return VIRTIO_NET_ERR;
	}
}

static uint8_t ctrl_vlan(const struct net_ctrl *cmd)
{
	uint64_t *word;
	uint16_t id;

	if (!has_feature(cmd, VIRTIO_NET_F_CTRL_VLAN) || cmd->command > VLAN_DEL ||
	    !ctrl_len_is(cmd, sizeof(id)) || !ctrl_get(cmd, 0, &id, sizeof(id)) || id >= NET_VLANS)
		return VIRTIO_NET_ERR;
	word = &cmd->net->filter.vlan[id / 64];
	if (cmd->command == VLAN_ADD)
		*word |= 1ULL << (id % 64);
	else
		*word &= ~(1ULL << (id % 64));
	net_apply_filter(cmd->net);
	return VIRTIO_NET_OK;
}

static uint8_t ctrl_announce(const struct net_ctrl *cmd)
{
	if (!has_feature(cmd, VIRTIO_NET_F_GUEST_ANNOUNCE) || cmd->command != ANNOUNCE_ACK ||
	    !ctrl_len_is(cmd, 0))
		return VIRTIO_NET_ERR;
	atomic_store(&cmd->net->announce, false);
	return VIRTIO_NET_OK;
}

static uint8_t ctrl_mq(const struct net_ctrl *cmd)
{
	struct virtio_net *net = cmd->net;
	unsigned int before = net->pairs_in_use;
	uint16_t pairs;

	if (!has_feature(cmd, VIRTIO_NET_F_MQ) || cmd->command != MQ_VQ_PAIRS_SET ||
	    !ctrl_len_is(cmd, sizeof(pairs)) || !ctrl_get(cmd, 0, &pairs, sizeof(pairs)) ||
	    !pairs || pairs > net->max_pairs)
		return VIRTIO_NET_ERR;
	net->pairs_in_use = pairs;
	if (!net_apply_pairs(net))
		return VIRTIO_NET_OK;
	net->pairs_in_use = before;
	net_apply_pairs(net);
	return VIRTIO_NET_ERR;
}

static uint8_t ctrl_offloads(const struct net_ctrl *cmd)
{
	struct virtio_net *net = cmd->net;
	uint64_t offloads, before = net->offloads;

	if (!has_feature(cmd, VIRTIO_NET_F_CTRL_OFFLOADS) || cmd->command != GUEST_OFFLOADS_SET ||
	    !ctrl_len_is(cmd, sizeof(offloads)) ||
	    !ctrl_get(cmd, 0, &offloads, sizeof(offloads)) ||
	    (offloads & ~(net->dev.driver_features & VIRTIO_NET_GUEST_OFFLOADS)))
		return VIRTIO_NET_ERR;
	net->offloads = offloads;
	if (!net_apply_offloads(net))
		return VIRTIO_NET_OK;
	net->offloads = before;
	return VIRTIO_NET_ERR;
}

/* ---- The queue ---- */

static uint8_t ctrl_execute(const struct net_ctrl *cmd)
{
	switch (cmd->class) {
	case VIRTIO_NET_CTRL_RX:
		return ctrl_rx_mode(cmd);
	case VIRTIO_NET_CTRL_MAC:
		return ctrl_mac(cmd);
	case VIRTIO_NET_CTRL_VLAN:
		return ctrl_vlan(cmd);
	case VIRTIO_NET_CTRL_ANNOUNCE:
		return ctrl_announce(cmd);
	case VIRTIO_NET_CTRL_MQ:
		return ctrl_mq(cmd);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return ctrl_offloads(cmd);
	default:
		return VIRTIO_NET_ERR;
	}
}

/* Returns false if the device is broken now. */
static bool ctrl_handle_chain(struct virtio_net *net, const struct virtq_chain *c)
{
	struct net_ctrl cmd = { .net = net, .c = c };
	uint8_t header[CTRL_HEADER], ack;

	if (c->out_len < sizeof(header) || !c->in_len) {
		virtio_dev_fail(&net->dev, "control command without header or room for an answer");
		return false;
	}
	virtq_iov_to_buf(c->iov, c->out_num, 0, header, sizeof(header));
	cmd.class = header[0];
	cmd.command = header[1];
	ack = ctrl_execute(&cmd);
	virtq_iov_from_buf(c->iov + c->out_num, c->in_num, 0, &ack, sizeof(ack));
	virtq_push(net->ctrl, c->head, sizeof(ack));
	return true;
}

void net_ctrl_kicked(void *opaque, uint32_t events)
{
	struct virtio_net *net = opaque;
	unsigned int budget = net->ctrl->size;
	struct virtq_chain c;

	virtq_clear_kick(net->ctrl);
	do {
		virtq_disable_kicks(net->ctrl);
		while (budget && virtq_pop(net->ctrl, &c) > 0 && ctrl_handle_chain(net, &c))
			budget--;
		virtq_flush(net->ctrl);
		if (virtio_dev_is_broken(&net->dev))
			return;
		if (!budget) {
			virtio_dev_notify_queue(&net->dev, net->ctrl->index);
			return;
		}
	} while (virtq_enable_kicks(net->ctrl));
}
