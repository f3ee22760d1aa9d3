/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VIRTIO_DRIVER_H
#define VIRTIO_DRIVER_H

#include <linux/virtio_ring.h>
#include <pthread.h>

#include "../../virtio-backends/virtio.h"

/*
 * A driver's side of a virtio device, without a transport: guest memory, rings, interrupts. Two
 * regions of RAM with a gap between, and a third that follows the second without one.
 */
#define DRV_RAM0	0x0ULL
#define DRV_RAM0_SIZE	0x100000ULL
#define DRV_RAM1	0x200000ULL
#define DRV_RAM1_SIZE	0x10000ULL
#define DRV_RAM2	(DRV_RAM1 + DRV_RAM1_SIZE)
#define DRV_RAM2_SIZE	0x10000ULL

#define DRV_MAX_QUEUES	5
/* Rings of queue n, and where buffers may be. */
#define DRV_DESC(n)	(0x1000ULL + (n) * 0x10000ULL)
#define DRV_AVAIL(n)	(DRV_DESC(n) + 0x8000)
#define DRV_USED(n)	(DRV_DESC(n) + 0xa000)
#define DRV_INDIRECT(n)	(DRV_DESC(n) + 0xd000)
#define DRV_BUFFERS	0x50000ULL

struct drv_queue {
	uint16_t size;
	uint16_t avail_idx, used_seen, next_desc;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
};

struct drv {
	struct virtio_dev *dev;
	struct guest_mem mem;
	void *ram[3];
	struct drv_queue q[DRV_MAX_QUEUES];
	atomic_uint interrupts[DRV_MAX_QUEUES];
	atomic_uint config_interrupts;
};

struct drv_buf {
	uint64_t gpa;
	uint32_t len;
	bool write;
};

void drv_init(struct drv *d, struct virtio_dev *dev);
/* The same with memory that other processes can map. */
void drv_init_shared(struct drv *d, struct virtio_dev *dev);
/* Another device takes the place of the one before, with memory and rings as they are. */
void drv_attach(struct drv *d, struct virtio_dev *dev);
/* Frees the memory; the device must be gone. */
void drv_fini(struct drv *d);
void *drv_ptr(struct drv *d, uint64_t gpa);

/* Reset, negotiate @features (VERSION_1 is added), set up queues [0, nr) of @size, DRIVER_OK. */
void drv_start(struct drv *d, uint64_t features, unsigned int nr, uint16_t size);

/* Descriptors from next_desc on; returns the head. The chain is not made available yet. */
uint16_t drv_chain(struct drv *d, unsigned int q, const struct drv_buf *b, unsigned int n);
/* The same in an indirect table. */
uint16_t drv_chain_indirect(struct drv *d, unsigned int q, const struct drv_buf *b, unsigned int n);
void drv_avail(struct drv *d, unsigned int q, uint16_t head);
void drv_kick(struct drv *d, unsigned int q);
/* The next used element: true and its id and length; does not wait. */
bool drv_used(struct drv *d, unsigned int q, uint32_t *id, uint32_t *len);
/* Wait for it, about five seconds. */
bool drv_wait_used(struct drv *d, unsigned int q, uint32_t *id, uint32_t *len);

#endif
