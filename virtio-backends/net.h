/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VIRTIO_NET_H
#define HV_VIRTIO_NET_H

#include "net/port.h"
#include "virtio.h"

/*
 * Network device (virtio 1.2, 5.1). Each pair of queues has an I/O thread and a port to the host's
 * side of its own; with vhost the host's kernel moves the packets of a TAP interface instead.
 */
#define VIRTIO_NET_MAX_PAIRS	16

struct virtio_net_config {
	const char *id;		/* "net0": for messages and thread names */
	uint8_t mac[6];
	unsigned int pairs;	/* 1..VIRTIO_NET_MAX_PAIRS; 0: one */
	unsigned int queue_size;	/* 0: 256 */
	/* A transport without control queue enables those pairs that the driver uses. */
	bool pairs_by_queues;
	uint64_t features;	/* offloads that the host's side can do, VIRTIO_NET_F_ bits */
	/* Makes the port of a pair on its loop's thread. The device owns it. Not with vhost. */
	int (*create_port)(void *opaque, unsigned int pair, struct hv_loop *loop,
			   struct net_port **port, struct hv_err *err);
	void *opaque;
	/* Instead of create_port: the TAP interface whose packets the kernel moves. */
	struct net_tap *vhost_tap;
	/* What the guest may receive, and as much again it may send, per second; 0: no limit. */
	uint64_t limit_packets, limit_bytes;
};

int virtio_net_create(const struct virtio_net_config *cfg, struct virtio_dev **dev,
		      struct hv_err *err);

#endif
