/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_NET_PORT_H
#define HV_NET_PORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "../loop.h"
#include "../util/err.h"

/*
 * The host's side of a network device: where packets of one queue pair come from and go to. A
 * packet is a struct net_header (12 bytes, virtio 1.2, 5.1.6) and an Ethernet frame. Everything
 * runs on the port's loop unless it says otherwise.
 */
struct net_port;

struct net_port_ops {
	/* Offloads of the guest's driver, VIRTIO_NET_GUEST_OFFLOADS. Optional; any thread. */
	int (*set_offloads)(struct net_port *p, uint64_t features);
	/* Take part in receiving, or not (multiqueue). Optional; any thread. */
	int (*enable)(struct net_port *p, bool on);
	/*
	 * Begin and end to call ready(). want() says what for; what was reported is not reported
	 * again before the next want().
	 */
	int (*start)(struct net_port *p);
	void (*stop)(struct net_port *p);
	void (*want)(struct net_port *p, bool receive, bool send);
	/*
	 * The next packet for the guest: its length with the header, as much as fits; -EAGAIN when
	 * there is none. Longer ones are cut.
	 */
	ssize_t (*receive)(struct net_port *p, const struct iovec *iov, int n);
	/* 0: sent, or queued; -EAGAIN: when ready for it; other errors: it cannot be sent. */
	int (*send)(struct net_port *p, const struct iovec *iov, int n, size_t len);
	void (*destroy)(struct net_port *p);
};

struct net_port {
	const struct net_port_ops *ops;
	struct hv_loop *loop;
	/* Set by the device before start(). */
	void (*ready)(void *opaque, bool receive, bool send);
	/* Optional: the connection to the host came or went. Also before start(). */
	void (*link)(void *opaque, bool up);
	void *opaque;
};

/* ---- tap.c: a TAP interface of the host ---- */

struct net_tap_config {
	const char *ifname;	/* NULL or "": the kernel chooses; made if it does not exist */
	unsigned int queues;
};
struct net_tap {
	char ifname[16];
	uint64_t features;	/* VIRTIO_NET_F_ bits that the host's kernel can do */
	unsigned int queues;
	int fd[];
};
int net_tap_open(const struct net_tap_config *cfg, struct net_tap **tap, struct hv_err *err);
/* Closes the descriptors; ports must be gone. */
void net_tap_close(struct net_tap *tap);
/* Any thread; features are VIRTIO_NET_GUEST_OFFLOADS. */
int net_tap_set_offloads(int fd, uint64_t features);
int net_tap_enable(int fd, bool on);
/* @loop is the port's; the descriptor stays the tap's. */
int net_tap_port_create(struct net_tap *tap, unsigned int queue, struct hv_loop *loop,
			struct net_port **port, struct hv_err *err);

/* ---- stream.c: passt, or QEMU's "stream" protocol: 32 bits of length, a frame ---- */

int net_stream_port_create(const char *path, const char *id, struct hv_loop *loop,
			   struct net_port **port, struct hv_err *err);

/* ---- mesh.c: a switch between the guests of one user ---- */

/* @dir is the network's directory, made if it does not exist; @name is unique in it. */
int net_mesh_port_create(const char *dir, const char *name, const char *id, struct hv_loop *loop,
			 struct net_port **port, struct hv_err *err);

#endif
