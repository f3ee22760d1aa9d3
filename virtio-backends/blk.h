/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VIRTIO_BLK_H
#define HV_VIRTIO_BLK_H

#include "block/block.h"
#include "virtio.h"

/* Block device (virtio 1.2, 5.2). Each queue has an I/O thread of its own. */
struct virtio_blk_config {
	struct blk_image *img;	/* stays the caller's; must outlive the device */
	unsigned int queues;	/* 1..64; 0: one */
	unsigned int queue_size;	/* power of two up to VIRTQ_MAX_SIZE; 0: 256 */
	const char *serial;	/* at most 20 bytes are shown to the guest; NULL: none */
	const char *id;		/* "blk0", for messages and thread names */
};

int virtio_blk_create(const struct virtio_blk_config *cfg, struct virtio_dev **dev,
		      struct hv_err *err);

#endif
