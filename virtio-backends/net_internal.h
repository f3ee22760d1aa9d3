/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VIRTIO_NET_INTERNAL_H
#define HV_VIRTIO_NET_INTERNAL_H

#include "io_thread.h"
#include "limit.h"
#include "net.h"
#include "net_defs.h"
#include "vhost.h"

/* What net.c, net_queue.c, net_ctrl.c and net_vhost.c share. */

#define NET_MAX_MACS	64	/* of each table */
#define NET_VLANS	4096
/* Of one packet, and one more for what does not fit into the first chain. */
#define NET_MAX_IOV	1023

enum net_stat {
	NET_STAT_RX_PACKETS, NET_STAT_RX_BYTES, NET_STAT_RX_FILTERED, NET_STAT_RX_DROPPED,
	NET_STAT_TX_PACKETS, NET_STAT_TX_BYTES, NET_STAT_TX_DROPPED,
	NET_NR_STATS
};

struct net_mac_table {
	uint32_t nr;
	bool overflow;		/* the driver's list was longer: let all pass */
	uint8_t mac[NET_MAX_MACS][ETH_ADDR_LEN];
};

/* Which packets the driver wants (virtio 1.2, 5.1.6.5.1 to .3). */
struct net_filter {
	uint8_t mode[RX_NR_MODES];
	uint8_t mac[ETH_ADDR_LEN];
	bool check_vlan;	/* CTRL_VLAN was negotiated */
	struct net_mac_table uni, multi;
	uint64_t vlan[NET_VLANS / 64];
};

/* What a pair waits for before it receives again. */
enum net_rx_wait { RX_WAIT_BUFFERS, RX_WAIT_HOST, RX_WAIT_LIMIT };

/* Two queues with their thread; all of it belongs to the thread unless it says otherwise. */
struct net_pair {
	struct virtio_net *net;
	unsigned int index;
	struct virtq *rx, *tx;
	struct hv_io_thread *thread;
	struct hv_loop *loop;
	struct net_port *port;		/* NULL: vhost */
	struct hv_loop_fd *rx_kick, *tx_kick;	/* NULL: stopped */
	struct hv_loop_timer *rx_timer, *tx_timer;
	bool running;
	bool active;			/* takes part in receiving (multiqueue) */
	bool mergeable;
	enum net_rx_wait rx_wait;
	bool tx_blocked;		/* by the host's side or a limit */
	struct net_filter filter;
	struct iovec iov[NET_MAX_IOV + 1];
	uint8_t *overflow;		/* NET_MAX_PACKET bytes */
	_Atomic uint64_t stat[NET_NR_STATS];	/* written here, read anywhere */
};

struct virtio_net {
	struct virtio_dev dev;
	unsigned int max_pairs;
	uint8_t default_mac[ETH_ADDR_LEN];
	atomic_bool link_down;
	atomic_bool announce;		/* ask the driver to announce itself */
	bool announce_at_start;
	struct hv_limit rx_limit, tx_limit;

	/* As the driver set it: pair 0's thread while started, else dev->lock. */
	struct hv_loop_fd *ctrl_kick;
	struct virtq *ctrl;
	struct net_filter filter;
	bool pairs_by_queues;
	unsigned int pairs_in_use;
	uint64_t offloads;		/* VIRTIO_NET_GUEST_OFFLOADS */
	bool offloads_set;		/* else those that the driver took, at the next start */
	/* For configuration space, which a vCPU reads. */
	pthread_mutex_t mac_lock;
	uint8_t mac[ETH_ADDR_LEN];

	struct net_vhost *vhost;	/* NULL: our own threads move packets */
	struct net_pair pair[];
};

static inline struct virtio_net *to_virtio_net(struct virtio_dev *dev)
{
	return (struct virtio_net *)((char *)dev - offsetof(struct virtio_net, dev));
}

/* Pairs that the driver may use with the features it took. */
static inline unsigned int net_usable_pairs(const struct virtio_net *net)
{
	return virtio_dev_has_feature(&net->dev, VIRTIO_NET_F_MQ) ? net->max_pairs : 1;
}

/* net_queue.c; on the pair's thread. */
int net_pair_create_timers(struct net_pair *p);
int net_pair_start(struct net_pair *p);
void net_pair_stop(struct net_pair *p);
void net_pair_set_active(struct net_pair *p, bool active);
void net_port_ready(void *opaque, bool receive, bool send);
/* Does the driver want the packet that begins like this? 18 bytes are looked at. */
bool net_filter_passes(const struct net_filter *f, const uint8_t *frame);
void net_filter_reset(struct net_filter *f, const uint8_t mac[ETH_ADDR_LEN]);

/* net_ctrl.c; on pair 0's thread, or stopped. */
void net_ctrl_kicked(void *opaque, uint32_t events);
/* Tell all pairs, or the host's kernel, what the driver set. */
int net_apply_offloads(struct virtio_net *net);
void net_apply_filter(struct virtio_net *net);
int net_apply_pairs(struct virtio_net *net);

/* net_vhost.c: the host's kernel moves the packets. */
int net_vhost_create(struct virtio_net *net, struct net_tap *tap, struct hv_err *err);
void net_vhost_destroy(struct net_vhost *v);
int net_vhost_start(struct virtio_net *net);
void net_vhost_stop(struct virtio_net *net);
int net_vhost_set_offloads(struct net_vhost *v, uint64_t features);
int net_vhost_enable(struct net_vhost *v, unsigned int pair, bool on);

#endif
