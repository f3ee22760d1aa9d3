/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VIRTIO_BLK_DEFS_H
#define HV_VIRTIO_BLK_DEFS_H

#include <stddef.h>
#include <stdint.h>

/* Block device: features, configuration and requests (virtio 1.2, 5.2). */
#define VIRTIO_ID_BLK			2

#define VIRTIO_BLK_F_SEG_MAX		2
#define VIRTIO_BLK_F_RO			5
#define VIRTIO_BLK_F_BLK_SIZE		6
#define VIRTIO_BLK_F_FLUSH		9
#define VIRTIO_BLK_F_TOPOLOGY		10
#define VIRTIO_BLK_F_CONFIG_WCE		11
#define VIRTIO_BLK_F_MQ			12
#define VIRTIO_BLK_F_DISCARD		13
#define VIRTIO_BLK_F_WRITE_ZEROES	14

#define VIRTIO_BLK_SECTOR_SHIFT		9
#define VIRTIO_BLK_SECTOR_SIZE		512u
#define VIRTIO_BLK_ID_LEN		20u

/* 5.2.4 */
struct blk_config_space {
	uint64_t capacity;		/* sectors of 512 bytes */
	uint32_t size_max;
	uint32_t seg_max;
	uint16_t cylinders;
	uint8_t heads, sectors;
	uint32_t blk_size;
	uint8_t physical_block_exp;
	uint8_t alignment_offset;
	uint16_t min_io_size;
	uint32_t opt_io_size;
	uint8_t writeback;
	uint8_t unused0;
	uint16_t num_queues;
	uint32_t max_discard_sectors;
	uint32_t max_discard_seg;
	uint32_t discard_sector_alignment;
	uint32_t max_write_zeroes_sectors;
	uint32_t max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap;
	uint8_t unused1[3];
} __attribute__((packed));

_Static_assert(sizeof(struct blk_config_space) == 60, "virtio 1.2, 5.2.4");
_Static_assert(offsetof(struct blk_config_space, writeback) == 32, "virtio 1.2, 5.2.4");
_Static_assert(offsetof(struct blk_config_space, num_queues) == 34, "virtio 1.2, 5.2.4");

/* 5.2.6 */
enum {
	VIRTIO_BLK_T_IN = 0,
	VIRTIO_BLK_T_OUT = 1,
	VIRTIO_BLK_T_FLUSH = 4,
	VIRTIO_BLK_T_GET_ID = 8,
	VIRTIO_BLK_T_DISCARD = 11,
	VIRTIO_BLK_T_WRITE_ZEROES = 13,
};

enum { VIRTIO_BLK_S_OK = 0, VIRTIO_BLK_S_IOERR = 1, VIRTIO_BLK_S_UNSUPP = 2 };

struct blk_request_header {
	uint32_t type;
	uint32_t reserved;
	uint64_t sector;
};

struct blk_segment {
	uint64_t sector;
	uint32_t num_sectors;
	uint32_t flags;
};
#define VIRTIO_BLK_SEGMENT_UNMAP	1u

_Static_assert(sizeof(struct blk_request_header) == 16, "virtio 1.2, 5.2.6");
_Static_assert(sizeof(struct blk_segment) == 16, "virtio 1.2, 5.2.6");

#endif
