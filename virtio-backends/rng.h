/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VIRTIO_RNG_H
#define HV_VIRTIO_RNG_H

#include "virtio.h"

/* Entropy device (virtio 1.2, 5.4): bytes of getrandom(2), at a bounded rate. */
struct virtio_rng_config {
	struct hv_loop *loop;	/* where it works; see hv_loop_call() on which loop to take */
	uint64_t bytes_per_second;	/* 0: 1 MiB/s */
	const char *id;
};

int virtio_rng_create(const struct virtio_rng_config *cfg, struct virtio_dev **dev,
		      struct hv_err *err);

#endif
