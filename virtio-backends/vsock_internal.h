/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VIRTIO_VSOCK_INTERNAL_H
#define HV_VIRTIO_VSOCK_INTERNAL_H

#include <sys/un.h>

#include "vhost.h"
#include "vsock.h"
#include "watch.h"

/* What vsock.c, vsock_packet.c and vsock_conn.c share. Packets: virtio 1.2, 5.10.6. */
#define VIRTIO_ID_VSOCK		19

struct vsock_header {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port;
	uint32_t len;
	uint16_t type, op;
	uint32_t flags;
	uint32_t buf_alloc, fwd_cnt;
} __attribute__((packed));

_Static_assert(sizeof(struct vsock_header) == 44, "virtio 1.2, 5.10.6");

#define VSOCK_TYPE_STREAM	1
enum {
	VSOCK_OP_REQUEST = 1, VSOCK_OP_RESPONSE, VSOCK_OP_RST, VSOCK_OP_SHUTDOWN, VSOCK_OP_RW,
	VSOCK_OP_CREDIT_UPDATE, VSOCK_OP_CREDIT_REQUEST,
};
#define VSOCK_SHUTDOWN_RCV	1u
#define VSOCK_SHUTDOWN_SEND	2u

enum { VSOCK_RX, VSOCK_TX, VSOCK_EVENT, VSOCK_QUEUES };

#define VSOCK_MAX_CONNS		256
#define VSOCK_BUCKETS		256	/* a power of two */
#define VSOCK_MAX_RESETS	256
#define VSOCK_MAX_DATA		65536u	/* of a packet */
#define VSOCK_BUFFER		262144u	/* what the guest may send ahead, per connection */
#define VSOCK_MAX_LINE		32	/* "CONNECT PORT\n" */

enum vsock_stat {
	VSOCK_STAT_CONNECTIONS, VSOCK_STAT_REFUSED, VSOCK_STAT_RX_BYTES, VSOCK_STAT_TX_BYTES,
	VSOCK_NR_STATS
};

enum vsock_state {
	VSOCK_GREETING,		/* the program of the host has not said where to yet */
	VSOCK_REQUESTED,	/* the guest has not answered */
	VSOCK_CONNECTED,
	VSOCK_DEAD,		/* freed at the end of the loop's round */
};

/* All of it belongs to the loop's thread. "rx" is to the guest, "tx" from it. */
struct vsock_conn {
	struct virtio_vsock *vs;
	struct vsock_conn *next;	/* of the bucket, or of the dead */
	struct vsock_conn *ready_next;
	bool ready;			/* in the list of those with packets for the guest */
	enum vsock_state state;
	uint32_t guest_port, host_port;
	int fd;
	struct hv_watch watch;
	uint32_t pending;		/* 1 << op, to be said to the guest */
	uint32_t shutdown_flags;	/* of a pending SHUTDOWN */
	bool readable;			/* fd may have data */
	bool ended;			/* fd has no more */
	bool guest_ended;		/* sends no more */
	bool guest_deaf;		/* receives no more */

	/* Credit (virtio 1.2, 5.10.6.3); counters run modulo 2^32. */
	uint32_t peer_alloc, peer_fwd, rx_cnt;
	uint32_t tx_cnt, fwd_cnt, told_fwd;
	bool asked_credit;

	/* From the guest, what fd did not take yet: a ring. */
	uint8_t *buf;
	uint32_t buf_start, buf_len;

	char line[VSOCK_MAX_LINE];
	unsigned int line_len;
};

struct vsock_reset {
	uint32_t guest_port, host_port;
};

struct virtio_vsock {
	struct virtio_dev dev;
	struct hv_loop *loop;
	uint32_t cid;
	struct sockaddr_un addr;

	/* The loop's thread. */
	int listen_fd;
	struct hv_loop_fd *listener;
	struct hv_loop_fd *kick[VSOCK_QUEUES];
	bool running;
	bool tell_reset;		/* the driver must forget its connections */
	unsigned int nr_conns;
	uint32_t next_port;
	struct vsock_conn *bucket[VSOCK_BUCKETS];
	struct vsock_conn *greeting;	/* not in a bucket yet */
	struct vsock_conn *ready_head, **ready_tail;
	struct vsock_conn *dead;
	struct hv_loop_deferred reap;
	/* For packets that belong to no connection. */
	struct vsock_reset reset[VSOCK_MAX_RESETS];
	unsigned int reset_head, nr_resets;

	struct vhost *vhost;		/* NULL: Unix sockets */

	_Atomic uint64_t stat[VSOCK_NR_STATS];
};

static inline void vsock_count(struct virtio_vsock *vs, enum vsock_stat s, uint64_t n)
{
	atomic_fetch_add_explicit(&vs->stat[s], n, memory_order_relaxed);
}

/* vsock_packet.c: the queues. */
void vsock_rx_kicked(void *opaque, uint32_t events);
void vsock_tx_kicked(void *opaque, uint32_t events);
/* Give the guest what is ready for it, as far as it has buffers. */
void vsock_fill_rx(struct virtio_vsock *vs);
/* Something is to be said to the guest about @c. */
void vsock_conn_ready(struct vsock_conn *c);
void vsock_conn_say(struct vsock_conn *c, unsigned int op);
void vsock_send_reset(struct virtio_vsock *vs, uint32_t guest_port, uint32_t host_port);

/* vsock_conn.c: connections and their Unix sockets. */
void vsock_accept(void *opaque, uint32_t events);
struct vsock_conn *vsock_conn_find(struct virtio_vsock *vs, uint32_t guest_port,
				   uint32_t host_port);
/* The guest connects; NULL: nobody listens, or there are too many. */
struct vsock_conn *vsock_conn_open(struct virtio_vsock *vs, uint32_t guest_port,
				   uint32_t host_port);
void vsock_conn_close(struct vsock_conn *c);
void vsock_conn_accepted(struct vsock_conn *c);
/* Data from the guest; false: it broke the rules of credit. */
bool vsock_conn_write(struct vsock_conn *c, const struct iovec *iov, unsigned int n, size_t off,
		      uint32_t len);
void vsock_conn_guest_shutdown(struct vsock_conn *c, uint32_t flags);
/* Watch the socket for what is of use now. */
void vsock_conn_update(struct vsock_conn *c);
void vsock_close_all(struct virtio_vsock *vs);
/* On resuming: look at all sockets again. */
void vsock_update_all(struct virtio_vsock *vs);
void vsock_reap(void *opaque);

#endif
