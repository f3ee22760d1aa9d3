/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VIRTIO_BALLOON_H
#define HV_VIRTIO_BALLOON_H

#include "virtio.h"

/*
 * Memory balloon (virtio 1.2, 5.5). What the guest puts into it, reports as free or hints at goes
 * back to the host at once: guest memory must be private and anonymous, so that pages that are
 * dropped read as zeroes when they are used again.
 */
#define VIRTIO_BALLOON_PAGE	4096u
#define VIRTIO_BALLOON_MAX_STATS 10

struct virtio_balloon_config {
	struct hv_loop *loop;
	const char *id;
	/* Optional: the guest gave up memory or took some back. Any thread, with dev->lock. */
	void (*changed)(void *opaque);
	void *opaque;
};

/* What the guest said of itself; names are stable. */
struct virtio_balloon_stat {
	const char *name;
	uint64_t value;
};

struct virtio_balloon_info {
	uint64_t target, actual;	/* bytes in the balloon: wanted, and as the guest says */
	bool trimming;			/* virtio_balloon_trim() has not ended */
	unsigned int nr_stats;
	uint64_t stats_age_ms;		/* if nr_stats */
	struct virtio_balloon_stat stat[VIRTIO_BALLOON_MAX_STATS];
};

int virtio_balloon_create(const struct virtio_balloon_config *cfg, struct virtio_dev **dev,
			  struct hv_err *err);
/* These are for any thread. */
void virtio_balloon_set_target(struct virtio_dev *dev, uint64_t bytes);
void virtio_balloon_info(struct virtio_dev *dev, struct virtio_balloon_info *info);
/* Ask the guest for new statistics; they come when it answers. */
void virtio_balloon_poll_stats(struct virtio_dev *dev);
/*
 * Take all memory that is free in the guest now. -ENOTSUP: its driver cannot, -EBUSY: it is doing
 * it already.
 */
int virtio_balloon_trim(struct virtio_dev *dev);

#endif
