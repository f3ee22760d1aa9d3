/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BLK_TOY_H
#define BLK_TOY_H

#include "../../virtio-backends/blk.h"
#include "../../virtio-backends/blk_defs.h"
#include "virtio_driver.h"

/* The virtio block device over a disk in memory that the test controls, and its driver. */
#define DISK_SECTORS	2048u
#define DISK_SIZE	(DISK_SECTORS * 512u)

struct blk_image {
	uint8_t data[DISK_SIZE + 100];	/* not a multiple of a sector */
	bool readonly;
	_Atomic int fail;		/* answer this to every request */
	atomic_bool hold;		/* requests stay in flight until it is cleared */
	atomic_uint held, kicks, fua, unmaps, queues;
	_Atomic uint64_t last_len;
};

extern struct blk_image disk;

#define HDR(i)		(DRV_BUFFERS + 0x40 * (i))
#define STATUS(i)	(DRV_BUFFERS + 0x40 * (i) + 0x20)
#define DATA		(DRV_BUFFERS + 0x2000)

extern struct virtio_dev *dev;
extern struct drv drv;
/* How often the device said that a request waits, always because the disk is full. */
extern atomic_uint stops;
/* What set_up_with() sets up besides. */
extern struct virtio_blk_config extra;

void set_up_with(unsigned int queues, uint64_t features);
/* One queue, all features. */
void set_up(void);
void tear_down(void);

/* Make request @i available in @queue; returns its head. */
uint16_t request_slot(unsigned int i, uint32_t type, uint64_t sector, const struct drv_buf *data,
		      unsigned int n, unsigned int queue);
/* 0xee: not answered yet. */
uint8_t status_of(unsigned int i);
/* Send one request and wait; returns its status, and the bytes said to be written in used_len. */
extern uint32_t used_len;
uint8_t request(uint32_t type, uint64_t sector, const struct drv_buf *data, unsigned int n);

#endif
