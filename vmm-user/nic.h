/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_NIC_H
#define HVM_NIC_H

#include "../virtio-backends/net.h"
#include "config.h"

/* A network card: the virtio device and the host's side of it. */
struct hvm_nic {
	const struct hvm_net_config *cfg;
	const char *guest;	/* its name */
	unsigned int index;
	bool backend;		/* of a front end in another process, which has the control queue */
	struct net_tap *tap;	/* NULL: none */
};

/* The address that @cfg says, or one that a guest of this name always has. */
void hvm_nic_mac(const struct hvm_net_config *cfg, const char *guest, unsigned int index,
		 uint8_t mac[6]);
/* The device @dev belongs to the caller and must be gone before hvm_nic_destroy(). */
int hvm_nic_create(struct hvm_nic *nic, const struct hvm_net_config *cfg, const char *guest,
		   unsigned int index, struct virtio_dev **dev, struct hv_err *err);
/* The same for hv-backend-net: its driver enables pairs of queues one by one. */
int hvm_nic_create_backend(struct hvm_nic *nic, const struct hvm_net_config *cfg, const char *guest,
			   struct virtio_dev **dev, struct hv_err *err);
void hvm_nic_destroy(struct hvm_nic *nic);

#endif
