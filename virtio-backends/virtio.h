/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VIRTIO_H
#define HV_VIRTIO_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest_mem.h"
#include "loop.h"
#include "state.h"
#include "util/err.h"
#include "virtq.h"

/*
 * Virtio devices (virtio 1.2). A device model (blk.c, rng.c, console.c) implements
 * struct virtio_dev_ops and knows nothing of its host; a transport (transport/pci.c, later
 * vhost-user) drives it through the functions of the second half of this file.
 *
 * Threads: what the driver configures (status, features, queue addresses) is protected by
 * dev->lock, which only transport functions take; they may be called from any vCPU thread. Queues
 * are processed on the loops that the model chose in start(). A loop never takes dev->lock, so
 * that start() and stop(), which run with the lock held, may wait for loops.
 */
struct virtio_dev;

/* Device status (virtio 1.2, 2.1). */
#define VIRTIO_STATUS_ACKNOWLEDGE	0x01
#define VIRTIO_STATUS_DRIVER		0x02
#define VIRTIO_STATUS_DRIVER_OK		0x04
#define VIRTIO_STATUS_FEATURES_OK	0x08
#define VIRTIO_STATUS_NEEDS_RESET	0x40
#define VIRTIO_STATUS_FAILED		0x80

/* Feature bits of every device (virtio 1.2, 6). */
#define VIRTIO_FEATURE(bit)		(1ULL << (bit))
#define VIRTIO_FEATURE_INDIRECT_DESC	VIRTIO_FEATURE(28)
#define VIRTIO_FEATURE_EVENT_IDX	VIRTIO_FEATURE(29)
#define VIRTIO_FEATURE_VERSION_1	VIRTIO_FEATURE(32)

#define VIRTIO_MAX_QUEUES		256

/* A counter of a device: name is short, lower case, stable ("read_bytes"). */
typedef void (*virtio_stat_fn)(void *opaque, const char *name, uint64_t value);

struct virtio_dev_ops {
	const char *name;	/* "blk": for messages and state sections */
	uint16_t device_id;	/* virtio 1.2, 5 */
	uint32_t config_len;	/* bytes of device configuration space */

	/* Device configuration; [off, off + len) lies inside config_len. dev->lock is held. */
	void (*config_read)(struct virtio_dev *dev, uint32_t off, void *buf, uint32_t len);
	/* Optional: a device without writable fields leaves it NULL. */
	void (*config_write)(struct virtio_dev *dev, uint32_t off, const void *buf, uint32_t len);

	/*
	 * The driver is ready: begin to watch the kick_fd of every enabled queue. The kick_fd is
	 * already signalled once, so that buffers made available before are seen. Returns 0 or
	 * -errno, in which case the device needs a reset.
	 */
	int (*start)(struct virtio_dev *dev);
	/*
	 * Stop and drain: on return no request is in flight and neither guest memory nor a queue
	 * is touched. The state of the queues stays, start() may follow (pause and resume). Must
	 * end in bounded time even if the host side does not answer.
	 */
	void (*stop)(struct virtio_dev *dev);
	/* Optional: forget what the driver configured in the model itself. Stopped. */
	void (*reset)(struct virtio_dev *dev);

	/* Optional: the model's own state, as a section of its own. Stopped. */
	void (*save)(struct virtio_dev *dev, struct hv_state_writer *w);
	int (*load)(struct virtio_dev *dev, struct hv_state_reader *r, struct hv_err *err);
	/* Any thread, at any time. */
	void (*stats)(struct virtio_dev *dev, virtio_stat_fn fn, void *opaque);
	/* Free the model; stopped. Ends with virtio_dev_fini() and free(). */
	void (*destroy)(struct virtio_dev *dev);
};

/* What a device asks of the transport; called from any loop, without dev->lock. */
struct virtio_host_ops {
	void (*queue_interrupt)(void *host, unsigned int queue);
	void (*config_interrupt)(void *host);
	/*
	 * Optional: an eventfd that interrupts the driver for the queue when it is signalled, for
	 * as long as the device stays started; -1: none, use queue_interrupt().
	 */
	int (*queue_eventfd)(void *host, unsigned int queue);
};

struct virtio_dev {
	const struct virtio_dev_ops *ops;
	char id[32];		/* "blk0": for messages */
	uint64_t host_features;	/* offered; fixed after virtio_dev_init() */
	unsigned int nr_queues;
	struct virtq *vqs;

	const struct guest_mem *mem;
	const struct virtio_host_ops *host_ops;
	void *host;

	pthread_mutex_t lock;	/* the fields up to the next comment */
	uint64_t driver_features;
	bool started;		/* between start() and stop() */
	bool paused;		/* by virtio_dev_pause() */
	bool dma_off;		/* by virtio_dev_allow_dma() */

	/* Any thread. */
	atomic_uchar status;
	atomic_uint config_generation;
};

/* ---- For models ---- */

/*
 * Initialise @dev, embedded in a model, with @nr_queues queues of at most @queue_size entries (a
 * power of two) and the model's own @features; the ring features and VERSION_1 are added here.
 */
int virtio_dev_init(struct virtio_dev *dev, const struct virtio_dev_ops *ops, const char *id,
		    uint64_t features, unsigned int nr_queues, unsigned int queue_size,
		    struct hv_err *err);
void virtio_dev_fini(struct virtio_dev *dev);

static inline bool virtio_dev_has_feature(const struct virtio_dev *dev, unsigned int bit)
{
	return dev->driver_features & (1ULL << bit);
}

/*
 * The driver broke the rules: log one line, set DEVICE_NEEDS_RESET and tell the driver. The
 * device does not process its queues again before a reset. Any thread.
 */
__attribute__((format(printf, 2, 3)))
void virtio_dev_fail(struct virtio_dev *dev, const char *fmt, ...);
/* The driver must read the device configuration again. Any thread. */
void virtio_dev_config_changed(struct virtio_dev *dev);
static inline bool virtio_dev_is_broken(struct virtio_dev *dev)
{
	return atomic_load_explicit(&dev->status, memory_order_relaxed) & VIRTIO_STATUS_NEEDS_RESET;
}

/* ---- For transports and the VMM ---- */

/* Connect the device to guest memory and to its transport, once, before anything below. */
void virtio_dev_attach(struct virtio_dev *dev, const struct guest_mem *mem,
		       const struct virtio_host_ops *ops, void *host);

uint8_t virtio_dev_get_status(struct virtio_dev *dev);
/* A write of the status register; 0 resets. Bits that may not be set now are ignored. */
void virtio_dev_set_status(struct virtio_dev *dev, uint8_t status);
void virtio_dev_reset(struct virtio_dev *dev);
/* 32 bits of the features, @page 0 or 1; other pages are zero and ignore writes. */
uint32_t virtio_dev_get_features(struct virtio_dev *dev, uint32_t page);
void virtio_dev_set_driver_features(struct virtio_dev *dev, uint32_t page, uint32_t bits);
uint32_t virtio_dev_get_driver_features(struct virtio_dev *dev, uint32_t page);
/* What lies outside the configuration space reads as zeroes and ignores writes. */
void virtio_dev_config_read(struct virtio_dev *dev, uint32_t off, void *buf, uint32_t len);
void virtio_dev_config_write(struct virtio_dev *dev, uint32_t off, const void *buf, uint32_t len);
/* Wake the queue as a driver's notification would; indices past nr_queues are ignored. */
void virtio_dev_notify_queue(struct virtio_dev *dev, unsigned int queue);

/* Stop processing with all state in place, and go on. For pausing a VM; pairs do not nest. */
void virtio_dev_pause(struct virtio_dev *dev);
void virtio_dev_resume(struct virtio_dev *dev);

/*
 * A transport whose driver can forbid access to memory (the PCI command register) says so here; the
 * device rests meanwhile. Allowed at first.
 */
void virtio_dev_allow_dma(struct virtio_dev *dev, bool allow);

/* State of the device, its queues and its model; it must be paused (or never started). */
void virtio_dev_save(struct virtio_dev *dev, struct hv_state_writer *w);
/* Into a fresh device, which stays paused until virtio_dev_resume(). */
int virtio_dev_load(struct virtio_dev *dev, struct hv_state_reader *r, struct hv_err *err);

void virtio_dev_stats(struct virtio_dev *dev, virtio_stat_fn fn, void *opaque);
/* Stops the device and frees it. NULL is ignored. */
void virtio_dev_destroy(struct virtio_dev *dev);

#endif
