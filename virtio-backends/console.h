/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VIRTIO_CONSOLE_H
#define HV_VIRTIO_CONSOLE_H

#include "virtio.h"

/*
 * Console device (virtio 1.2, 5.3): port 0, which a Linux guest shows as /dev/hvc0, connected to a
 * pair of descriptors. The descriptors should be non-blocking and stay the caller's. What the host
 * side does not take stays in the guest's buffers, and what the guest does not take is not read.
 */
struct virtio_console_config {
	struct hv_loop *loop;	/* where it works; see hv_loop_call() on which loop to take */
	int in_fd;		/* input for the guest, -1: none */
	int out_fd;		/* output of the guest, -1: discard */
	/*
	 * Optional: looks at input before the guest sees it, may change and shorten it in place
	 * (escape keys). Returns the new length.
	 */
	size_t (*filter)(void *opaque, uint8_t *buf, size_t len);
	void *opaque;
	const char *id;
};

int virtio_console_create(const struct virtio_console_config *cfg, struct virtio_dev **dev,
			  struct hv_err *err);
/* The terminal has a new size; any thread. */
void virtio_console_resize(struct virtio_dev *dev, uint16_t cols, uint16_t rows);

#endif
