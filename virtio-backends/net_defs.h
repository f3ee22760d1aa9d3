/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VIRTIO_NET_DEFS_H
#define HV_VIRTIO_NET_DEFS_H

#include <stddef.h>
#include <stdint.h>

/* Network device: features, configuration, header and control commands (virtio 1.2, 5.1). */
#define VIRTIO_ID_NETWORK		1

/* 5.1.3 */
#define VIRTIO_NET_F_CSUM		0
#define VIRTIO_NET_F_GUEST_CSUM		1
#define VIRTIO_NET_F_CTRL_OFFLOADS	2
#define VIRTIO_NET_F_MAC		5
#define VIRTIO_NET_F_GUEST_TSO4		7
#define VIRTIO_NET_F_GUEST_TSO6		8
#define VIRTIO_NET_F_GUEST_ECN		9
#define VIRTIO_NET_F_HOST_TSO4		11
#define VIRTIO_NET_F_HOST_TSO6		12
#define VIRTIO_NET_F_HOST_ECN		13
#define VIRTIO_NET_F_MRG_RXBUF		15
#define VIRTIO_NET_F_STATUS		16
#define VIRTIO_NET_F_CTRL_VQ		17
#define VIRTIO_NET_F_CTRL_RX		18
#define VIRTIO_NET_F_CTRL_VLAN		19
#define VIRTIO_NET_F_CTRL_RX_EXTRA	20
#define VIRTIO_NET_F_GUEST_ANNOUNCE	21
#define VIRTIO_NET_F_MQ			22
#define VIRTIO_NET_F_CTRL_MAC_ADDR	23
#define VIRTIO_NET_F_GUEST_USO4		54
#define VIRTIO_NET_F_GUEST_USO6		55
#define VIRTIO_NET_F_HOST_USO		56

#define VIRTIO_NET_GUEST_OFFLOADS \
	(1ULL << VIRTIO_NET_F_GUEST_CSUM | 1ULL << VIRTIO_NET_F_GUEST_TSO4 | \
	 1ULL << VIRTIO_NET_F_GUEST_TSO6 | 1ULL << VIRTIO_NET_F_GUEST_ECN | \
	 1ULL << VIRTIO_NET_F_GUEST_USO4 | 1ULL << VIRTIO_NET_F_GUEST_USO6)
#define VIRTIO_NET_HOST_OFFLOADS \
	(1ULL << VIRTIO_NET_F_CSUM | 1ULL << VIRTIO_NET_F_HOST_TSO4 | \
	 1ULL << VIRTIO_NET_F_HOST_TSO6 | 1ULL << VIRTIO_NET_F_HOST_ECN | \
	 1ULL << VIRTIO_NET_F_HOST_USO)

/* 5.1.4 */
struct net_config_space {
	uint8_t mac[6];
	uint16_t status;
	uint16_t max_virtqueue_pairs;
	uint16_t mtu;
};
#define VIRTIO_NET_S_LINK_UP		1
#define VIRTIO_NET_S_ANNOUNCE		2

_Static_assert(sizeof(struct net_config_space) == 12, "virtio 1.2, 5.1.4");
_Static_assert(offsetof(struct net_config_space, max_virtqueue_pairs) == 8, "virtio 1.2, 5.1.4");

/* 5.1.6: before each packet. */
struct net_header {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
	uint16_t num_buffers;
};

_Static_assert(sizeof(struct net_header) == 12, "virtio 1.2, 5.1.6");
_Static_assert(offsetof(struct net_header, num_buffers) == 10, "virtio 1.2, 5.1.6");

/* 5.1.6.5 */
enum { VIRTIO_NET_OK = 0, VIRTIO_NET_ERR = 1 };
enum {
	VIRTIO_NET_CTRL_RX = 0,
	VIRTIO_NET_CTRL_MAC = 1,
	VIRTIO_NET_CTRL_VLAN = 2,
	VIRTIO_NET_CTRL_ANNOUNCE = 3,
	VIRTIO_NET_CTRL_MQ = 4,
	VIRTIO_NET_CTRL_GUEST_OFFLOADS = 5,
};
enum { RX_PROMISC, RX_ALLMULTI, RX_ALLUNI, RX_NOMULTI, RX_NOUNI, RX_NOBCAST, RX_NR_MODES };
enum { MAC_TABLE_SET = 0, MAC_ADDR_SET = 1 };
enum { VLAN_ADD = 0, VLAN_DEL = 1 };
enum { ANNOUNCE_ACK = 0 };
enum { MQ_VQ_PAIRS_SET = 0 };
enum { GUEST_OFFLOADS_SET = 0 };

/* The largest packet, with its header: 64 KiB and an Ethernet header with two VLAN tags. */
#define NET_MAX_PACKET	(65536 + 22 + 12)
#define ETH_ADDR_LEN	6
#define ETH_MIN_FRAME	14

#endif
