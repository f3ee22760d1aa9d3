// SPDX-License-Identifier: GPL-2.0-or-later
/* Network cards; see nic.h. */
#include "nic.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../virtio-backends/util/log.h"
#include "control/runtime.h"

/* FNV-1a, 32 bits: guests of different names get different addresses, each always the same. */
static uint32_t hash_name(const char *name, unsigned int index)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return (h ^ index) * 16777619u;
}

void hvm_nic_mac(const struct hvm_net_config *cfg, const char *guest, unsigned int index,
		 uint8_t mac[6])
{
	uint32_t h = hash_name(guest, index);
	/* Locally administered, and known to people as a virtual machine's. */
	const uint8_t made[6] = { 0x52, 0x54, 0x00, (uint8_t)(h >> 16), (uint8_t)(h >> 8),
				  (uint8_t)h };

	memcpy(mac, cfg->mac_given ? cfg->mac : made, sizeof(made));
}

/* The switch's directory is beside the guest's control socket. */
static int create_switch_port(struct hvm_nic *nic, const char *id, struct hv_loop *loop,
			      struct net_port **port, struct hv_err *err)
{
	char runtime[HVM_RUNTIME_PATH_MAX], dir[HVM_RUNTIME_PATH_MAX + HVM_NAME_MAX + 16];
	char name[HVM_NAME_MAX + 16];
	int fd = hvm_runtime_open(true, runtime, err);

	if (fd < 0)
		return fd;
	close(fd);
	snprintf(dir, sizeof(dir), "%s/%s.switch", runtime, nic->cfg->network);
	snprintf(name, sizeof(name), "%s.%u", nic->guest, nic->index);
	return net_mesh_port_create(dir, name, id, loop, port, err);
}

static int create_port(void *opaque, unsigned int pair, struct hv_loop *loop,
		       struct net_port **port, struct hv_err *err)
{
	struct hvm_nic *nic = opaque;
	char id[16];

	snprintf(id, sizeof(id), "net%u", nic->index);
	switch (nic->cfg->kind) {
	case HVM_NET_TAP:
		return net_tap_port_create(nic->tap, pair, loop, port, err);
	case HVM_NET_PASST:
		return net_stream_port_create(nic->cfg->socket, id, loop, port, err);
	default:
		return create_switch_port(nic, id, loop, port, err);
	}
}

static int nic_open_tap(struct hvm_nic *nic, const char *id, struct virtio_net_config *cfg,
			struct hv_err *err)
{
	const struct net_tap_config tap = {
		.ifname = nic->cfg->ifname, .queues = nic->cfg->queues,
	};
	int ret = net_tap_open(&tap, &nic->tap, err);

	if (ret)
		return hv_err_prefix(err, "%s", id);
	cfg->pairs = nic->cfg->queues;
	cfg->features = nic->tap->features;
	if (nic->cfg->vhost)
		cfg->vhost_tap = nic->tap;
	if (!nic->cfg->ifname[0])
		hv_log("%s of %s: interface %s", id, nic->guest, nic->tap->ifname);
	return 0;
}

static int nic_create(struct hvm_nic *nic, struct virtio_dev **dev, struct hv_err *err)
{
	const struct hvm_net_config *cfg = nic->cfg;
	char id[16];
	struct virtio_net_config net = {
		.id = id, .pairs = 1, .create_port = create_port, .opaque = nic,
		.limit_bytes = cfg->limit_bytes, .limit_packets = cfg->limit_packets,
		.pairs_by_queues = nic->backend, .queue_size = nic->backend ? VIRTQ_MAX_SIZE : 0,
	};
	int ret = 0;

	snprintf(id, sizeof(id), "net%u", nic->index);
	hvm_nic_mac(cfg, nic->guest, nic->index, net.mac);
	if (cfg->kind == HVM_NET_TAP)
		ret = nic_open_tap(nic, id, &net, err);
	return ret ? ret : virtio_net_create(&net, dev, err);
}

int hvm_nic_create(struct hvm_nic *nic, const struct hvm_net_config *cfg, const char *guest,
		   unsigned int index, struct virtio_dev **dev, struct hv_err *err)
{
	*nic = (struct hvm_nic){ .cfg = cfg, .guest = guest, .index = index };
	return nic_create(nic, dev, err);
}

int hvm_nic_create_backend(struct hvm_nic *nic, const struct hvm_net_config *cfg, const char *guest,
			   struct virtio_dev **dev, struct hv_err *err)
{
	*nic = (struct hvm_nic){ .cfg = cfg, .guest = guest, .backend = true };
	return nic_create(nic, dev, err);
}

void hvm_nic_destroy(struct hvm_nic *nic)
{
	net_tap_close(nic->tap);
	nic->tap = NULL;
}
