/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_QCOW2_DEFS_H
#define HV_QCOW2_DEFS_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The qcow2 format, versions 2 and 3 (QEMU's docs/interop/qcow2.txt; section names below are its).
 * All numbers are big endian.
 */

/* Header */
#define QCOW2_MAGIC			0x514649fbu
#define QCOW2_V2_HEADER_LEN		72
#define QCOW2_V3_HEADER_LEN		104
#define QCOW2_MIN_CLUSTER_BITS		9
#define QCOW2_MAX_CLUSTER_BITS		21
#define QCOW2_MAX_REFCOUNT_ORDER	6
#define QCOW2_MAX_BACKING_NAME		1023

struct qcow2_header {
	uint32_t magic;
	uint32_t version;
	uint64_t backing_file_offset;
	uint32_t backing_file_size;
	uint32_t cluster_bits;
	uint64_t size;
	uint32_t crypt_method;
	uint32_t l1_size;
	uint64_t l1_table_offset;
	uint64_t refcount_table_offset;
	uint32_t refcount_table_clusters;
	uint32_t nb_snapshots;
	uint64_t snapshots_offset;
	/* Version 3. */
	uint64_t incompatible_features;
	uint64_t compatible_features;
	uint64_t autoclear_features;
	uint32_t refcount_order;
	uint32_t header_length;
	/* "Additional fields", there if header_length says so. */
	uint8_t compression_type;
	uint8_t padding[7];
} __attribute__((packed));

static_assert(sizeof(struct qcow2_header) == 112, "qcow2 header");
static_assert(offsetof(struct qcow2_header, incompatible_features) == QCOW2_V2_HEADER_LEN, "v2");
static_assert(offsetof(struct qcow2_header, compression_type) == QCOW2_V3_HEADER_LEN, "v3");
static_assert(offsetof(struct qcow2_header, refcount_table_offset) == 48, "refcount table");

#define QCOW2_INCOMPAT_DIRTY		(1ull << 0)
#define QCOW2_INCOMPAT_CORRUPT		(1ull << 1)
#define QCOW2_INCOMPAT_DATA_FILE	(1ull << 2)
#define QCOW2_INCOMPAT_COMPRESSION	(1ull << 3)
#define QCOW2_INCOMPAT_EXTENDED_L2	(1ull << 4)
#define QCOW2_COMPAT_LAZY_REFCOUNTS	(1ull << 0)

#define QCOW2_COMPRESSION_ZLIB		0
#define QCOW2_COMPRESSION_ZSTD		1

/* Header extensions */
struct qcow2_extension {
	uint32_t type;
	uint32_t len;
};

#define QCOW2_EXT_END			0x00000000u
#define QCOW2_EXT_BACKING_FORMAT	0xe2792acau
#define QCOW2_EXT_FEATURE_NAMES		0x6803f857u
#define QCOW2_EXT_BITMAPS		0x23852875u

struct qcow2_feature_name {
	uint8_t type;		/* 0: incompatible, 1: compatible, 2: autoclear */
	uint8_t bit;
	char name[46];
};

static_assert(sizeof(struct qcow2_feature_name) == 48, "feature name");

/* Bitmaps extension */
struct qcow2_bitmaps_ext {
	uint32_t nb_bitmaps;
	uint32_t reserved;
	uint64_t directory_size;
	uint64_t directory_offset;
} __attribute__((packed));

static_assert(sizeof(struct qcow2_bitmaps_ext) == 24, "bitmaps extension");

/* Bitmap directory; then extra data and the name, padded to 8 bytes */
struct qcow2_bitmap_entry {
	uint64_t table_offset;
	uint32_t table_size;	/* entries of 8 bytes */
	uint32_t flags;
	uint8_t type;
	uint8_t granularity_bits;
	uint16_t name_size;
	uint32_t extra_data_size;
} __attribute__((packed));

static_assert(sizeof(struct qcow2_bitmap_entry) == 24, "bitmap directory entry");

/* Snapshots; then extra data, id and name, padded to 8 bytes */
struct qcow2_snapshot_entry {
	uint64_t l1_table_offset;
	uint32_t l1_size;
	uint16_t id_size;
	uint16_t name_size;
	uint32_t date_sec;
	uint32_t date_nsec;
	uint64_t vm_clock_nsec;
	uint32_t vm_state_size;
	uint32_t extra_data_size;
} __attribute__((packed));

static_assert(sizeof(struct qcow2_snapshot_entry) == 40, "snapshot table entry");

/* Cluster mapping: L1 and L2 entries, refcount table entries */
#define QCOW2_COPIED		(1ull << 63)	/* refcount is exactly one */
#define QCOW2_COMPRESSED	(1ull << 62)
#define QCOW2_ZERO		(1ull << 0)	/* version 3 */
#define QCOW2_OFFSET_MASK	0x00fffffffffffe00ull
#define QCOW2_REFTABLE_MASK	0xfffffffffffffe00ull
#define QCOW2_COMPRESSED_SECTOR	512u

/* Limits of this implementation, those of QEMU. */
#define QCOW2_MAX_L1_BYTES		(32u << 20)
#define QCOW2_MAX_REFTABLE_BYTES	(8u << 20)
#define QCOW2_MAX_SNAPSHOTS		65536u
#define QCOW2_MAX_BITMAPS		65535u
#define QCOW2_MAX_HOST_OFFSET		(1ull << 56)

#endif
