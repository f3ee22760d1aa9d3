// SPDX-License-Identifier: GPL-2.0-or-later
/* Devices whose back ends are other processes; see vhost_user.h. */
#include "vhost_user.h"

#include <errno.h>
#include <string.h>

#include "blk_defs.h"
#include "net_defs.h"
#include "vhost_user_front.h"

#define FRONT_OPS							\
	.config_read = vhost_user_front_config_read,			\
	.start = vhost_user_front_start,				\
	.stop = vhost_user_front_stop,					\
	.reset = vhost_user_front_reset,				\
	.save = vhost_user_front_save,					\
	.load = vhost_user_front_load,					\
	.stats = vhost_user_front_stats,				\
	.destroy = vhost_user_front_destroy

/* ---- Disks ---- */

#define BLK_F(name)	VIRTIO_FEATURE(VIRTIO_BLK_F_##name)

/* The back end says how many queues it has, not how many this device has. */
static void blk_fix_config(const struct vhost_user_front *f, uint8_t *config)
{
	uint16_t queues = (uint16_t)f->dev.nr_queues;

	memcpy(config + offsetof(struct blk_config_space, num_queues), &queues, sizeof(queues));
}

static const struct vhost_user_kind blk_kind = {
	.ops = {
		FRONT_OPS,
		.name = "vhost-user-blk",
		.device_id = VIRTIO_ID_BLK,
		.config_len = sizeof(struct blk_config_space),
		.config_write = vhost_user_front_config_write,
	},
	.backend_features = BLK_F(SEG_MAX) | BLK_F(RO) | BLK_F(BLK_SIZE) | BLK_F(FLUSH) |
			    BLK_F(TOPOLOGY) | BLK_F(CONFIG_WCE) | BLK_F(MQ) | BLK_F(DISCARD) |
			    BLK_F(WRITE_ZEROES),
	.protocol = VHOST_USER_PROTOCOL_CONFIG | VHOST_USER_PROTOCOL_INFLIGHT,
	.backend_config = true,
	.fix_config = blk_fix_config,
	.resumes = true,
	.queue_size = 256,
};

int vhost_user_blk_create(const struct vhost_user_dev_config *cfg, struct virtio_dev **dev,
			  struct hv_err *err)
{
	unsigned int queues = cfg->queues ? cfg->queues : 1;

	return vhost_user_front_create(&blk_kind, cfg, queues, true, NULL, dev, err);
}

/* ---- Network cards ---- */

static const struct vhost_user_kind net_kind = {
	.ops = {
		FRONT_OPS,
		.name = "vhost-user-net",
		.device_id = VIRTIO_ID_NETWORK,
		.config_len = sizeof(struct net_config_space),
	},
	/*
	 * Filters and the number of queues would need the control queue, which back ends do not
	 * know.
	 */
	.backend_features = VIRTIO_NET_GUEST_OFFLOADS | VIRTIO_NET_HOST_OFFLOADS |
			    VIRTIO_FEATURE(VIRTIO_NET_F_MRG_RXBUF),
	.local_features = VIRTIO_FEATURE(VIRTIO_NET_F_MAC) | VIRTIO_FEATURE(VIRTIO_NET_F_STATUS),
	.resumes = true,
	.queue_size = 256,
};

int vhost_user_net_create(const struct vhost_user_dev_config *cfg, const uint8_t mac[6],
			  struct virtio_dev **dev, struct hv_err *err)
{
	struct net_config_space config = {
		.status = VIRTIO_NET_S_LINK_UP, .max_virtqueue_pairs = 1,
	};

	memcpy(config.mac, mac, sizeof(config.mac));
	return vhost_user_front_create(&net_kind, cfg, 2, false, &config, dev, err);
}

/* ---- Shared directories ---- */

#define VIRTIO_ID_FS	26

/* virtio 1.2, 5.11.4 */
struct fs_config_space {
	char tag[VHOST_USER_FS_TAG_MAX];	/* ends with a zero only if it is shorter */
	uint32_t num_request_queues;
};

_Static_assert(sizeof(struct fs_config_space) == 40, "virtio 1.2, 5.11.4");

#define FS_REQUEST_QUEUES	1

static const struct vhost_user_kind fs_kind = {
	.ops = {
		FRONT_OPS,
		.name = "vhost-user-fs",
		.device_id = VIRTIO_ID_FS,
		.config_len = sizeof(struct fs_config_space),
	},
	.queue_size = 128,
};

int vhost_user_fs_create(const struct vhost_user_dev_config *cfg, const char *tag,
			 struct virtio_dev **dev, struct hv_err *err)
{
	struct fs_config_space config = { .num_request_queues = FS_REQUEST_QUEUES };
	size_t len = strlen(tag);

	if (!len || len > sizeof(config.tag))
		return hv_err_set(err, -EINVAL, "%s: a tag has 1 to %d bytes", cfg->id,
				  VHOST_USER_FS_TAG_MAX);
	memcpy(config.tag, tag, len);
	/* The first queue is for what must not wait behind requests (5.11.2). */
	return vhost_user_front_create(&fs_kind, cfg, 1 + FS_REQUEST_QUEUES, false, &config, dev,
				       err);
}
