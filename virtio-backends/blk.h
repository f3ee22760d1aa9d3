/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VIRTIO_BLK_H
#define HV_VIRTIO_BLK_H

#include "block/block.h"
#include "virtio.h"

#define VIRTIO_BLK_MAX_QUEUES	64

/* What an I/O error of the host means for the guest. */
enum virtio_blk_on_error {
	VIRTIO_BLK_REPORT,	/* the request fails */
	VIRTIO_BLK_STOP,	/* the request waits until the device is paused and resumed */
	VIRTIO_BLK_IGNORE,	/* the request succeeds; what could not be read is zeroes */
};

/* Block device (virtio 1.2, 5.2). */
struct virtio_blk_config {
	struct blk_image *img;	/* stays the caller's; must outlive the device */
	unsigned int queues;	/* 1..64; 0: one */
	unsigned int queue_size;	/* power of two up to VIRTQ_MAX_SIZE; 0: 256 */
	unsigned int seg_max;	/* buffers of a request; 0: as many as the queue can take */
	bool one_thread;	/* for all queues, instead of an I/O thread for each */
	enum virtio_blk_on_error on_error;
	/* With VIRTIO_BLK_STOP: a request waits; any thread, may be called again and again. */
	void (*stopped)(void *opaque, const char *id, int error);
	void *opaque;
	uint64_t limit_iops, limit_bytes;	/* per second, 0: no limit */
	const char *serial;	/* at most 20 bytes are shown to the guest; NULL: none */
	const char *id;		/* "blk0", for messages and thread names */
};

int virtio_blk_create(const struct virtio_blk_config *cfg, struct virtio_dev **dev,
		      struct hv_err *err);
/* Go on with another image of the same size. The device is paused. */
void virtio_blk_set_image(struct virtio_dev *dev, struct blk_image *img);
/* The image has grown: tell the driver. The device is paused. */
void virtio_blk_resized(struct virtio_dev *dev);

/*
 * Take the image away from a device that is paused, and give it one of the same size. Without an
 * image it must not be resumed. -errno: it still has none.
 */
void virtio_blk_detach(struct virtio_dev *dev);
int virtio_blk_attach(struct virtio_dev *dev, struct blk_image *img, struct hv_err *err);

#endif
