/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VHOST_USER_DEFS_H
#define HV_VHOST_USER_DEFS_H

#include <stddef.h>
#include <stdint.h>

/*
 * The vhost-user protocol ("Vhost-user Protocol" of QEMU's interoperability documents): what both
 * sides send. All numbers are little-endian.
 */
struct vhost_user_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size;		/* of the payload */
};

#define VHOST_USER_VERSION		1u
#define VHOST_USER_VERSION_MASK		3u
#define VHOST_USER_FLAG_REPLY		(1u << 2)
#define VHOST_USER_FLAG_NEED_REPLY	(1u << 3)

/* From the front end to the back end. */
enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_RESET_OWNER = 4,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_SET_VRING_ERR = 14,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_SET_BACKEND_REQ_FD = 21,
	VHOST_USER_GET_CONFIG = 24,
	VHOST_USER_SET_CONFIG = 25,
	VHOST_USER_GET_INFLIGHT_FD = 31,
	VHOST_USER_SET_INFLIGHT_FD = 32,
	VHOST_USER_RESET_DEVICE = 34,
	VHOST_USER_GET_MAX_MEM_SLOTS = 36,
	VHOST_USER_ADD_MEM_REG = 37,
	VHOST_USER_REM_MEM_REG = 38,
	VHOST_USER_SET_STATUS = 39,
	VHOST_USER_GET_STATUS = 40,
};

/* From the back end to the front end, on a channel of their own. */
enum vhost_user_backend_request {
	VHOST_USER_BACKEND_CONFIG_CHANGE = 2,
};

/* In the virtio feature bits: the protocol features exist. */
#define VHOST_USER_F_PROTOCOL_FEATURES	30

#define VHOST_USER_PROTOCOL(bit)	(1ULL << (bit))
#define VHOST_USER_PROTOCOL_MQ			VHOST_USER_PROTOCOL(0)
#define VHOST_USER_PROTOCOL_REPLY_ACK		VHOST_USER_PROTOCOL(3)
#define VHOST_USER_PROTOCOL_BACKEND_REQ		VHOST_USER_PROTOCOL(5)
#define VHOST_USER_PROTOCOL_CONFIG		VHOST_USER_PROTOCOL(9)
#define VHOST_USER_PROTOCOL_INFLIGHT		VHOST_USER_PROTOCOL(12)
#define VHOST_USER_PROTOCOL_RESET_DEVICE	VHOST_USER_PROTOCOL(13)
#define VHOST_USER_PROTOCOL_MEM_SLOTS		VHOST_USER_PROTOCOL(15)
#define VHOST_USER_PROTOCOL_STATUS		VHOST_USER_PROTOCOL(16)

#define VHOST_USER_MAX_REGIONS	8
#define VHOST_USER_MAX_CONFIG	256
#define VHOST_USER_MAX_FDS	VHOST_USER_MAX_REGIONS

struct vhost_user_vring_state {
	uint32_t index, num;
};

struct vhost_user_vring_addr {
	uint32_t index;
	uint32_t flags;		/* 1: log writes to the used ring */
	uint64_t desc, used, avail;	/* in the front end's address space */
	uint64_t log;
};

/* SET_VRING_KICK, _CALL, _ERR */
#define VHOST_USER_VRING_INDEX	0xffu
#define VHOST_USER_VRING_NO_FD	(1u << 8)

struct vhost_user_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t user;		/* in the front end's address space */
	uint64_t offset;	/* in the file */
};

struct vhost_user_mem_table {
	uint32_t nr;
	uint32_t padding;
	struct vhost_user_region region[VHOST_USER_MAX_REGIONS];
};

struct vhost_user_mem_reg {
	uint64_t padding;
	struct vhost_user_region region;
};

struct vhost_user_config {
	uint32_t offset, size, flags;
	uint8_t data[VHOST_USER_MAX_CONFIG];
};
#define VHOST_USER_CONFIG_HEADER	offsetof(struct vhost_user_config, data)

struct vhost_user_inflight {
	uint64_t mmap_size, mmap_offset;
	uint16_t num_queues, queue_size;
	uint32_t padding;
};
/* On the wire it ends with queue_size for some, with padding for others. */
#define VHOST_USER_INFLIGHT_MIN	20u

_Static_assert(sizeof(struct vhost_user_header) == 12, "vhost-user, header");
_Static_assert(sizeof(struct vhost_user_vring_addr) == 40, "vhost-user, vring address");
_Static_assert(sizeof(struct vhost_user_region) == 32, "vhost-user, memory region");
_Static_assert(offsetof(struct vhost_user_mem_table, region) == 8, "vhost-user, memory table");
_Static_assert(offsetof(struct vhost_user_mem_reg, region) == 8, "vhost-user, single region");
_Static_assert(VHOST_USER_CONFIG_HEADER == 12, "vhost-user, device configuration");
_Static_assert(sizeof(struct vhost_user_inflight) == 24, "vhost-user, inflight description");

union vhost_user_payload {
	uint64_t u64;
	struct vhost_user_vring_state state;
	struct vhost_user_vring_addr addr;
	struct vhost_user_mem_table mem;
	struct vhost_user_mem_reg reg;
	struct vhost_user_config config;
	struct vhost_user_inflight inflight;
};

#endif
