/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NET_TOY_H
#define NET_TOY_H

#include <pthread.h>

#include "../../virtio-backends/net.h"
#include "../../virtio-backends/net_defs.h"

/* Ports of a network device that lead to the test: a few packets each way. */
#define TOY_PORTS	2
#define TOY_PACKETS	64

struct toy_packet {
	uint8_t data[NET_MAX_PACKET];
	size_t len;
};

struct toy_port {
	struct net_port port;
	pthread_mutex_t lock;
	struct toy_packet *in[TOY_PACKETS], *out[TOY_PACKETS];
	unsigned int in_put, in_got, out_put, out_got;
	bool want_in, want_out;
	bool full;		/* takes nothing */
	bool endless;		/* always has a packet, always takes one */
	bool enabled;
	bool refuse;		/* enable() fails */
	uint64_t offloads;
};

extern struct toy_port toy_port[TOY_PORTS];

/* For virtio_net_config.create_port. */
int toy_port_create(void *opaque, unsigned int pair, struct hv_loop *loop, struct net_port **port,
		    struct hv_err *err);
/* A packet for the guest, header and frame. Any thread. */
void toy_give(unsigned int n, const void *packet, size_t len);
/* Wait for a packet from the guest, about five seconds: its length, 0: none came. */
size_t toy_take(unsigned int n, uint8_t *buf, size_t len);
/* No packet waits to be taken. */
bool toy_empty(unsigned int n);
void toy_set_full(unsigned int n, bool full);

#endif
