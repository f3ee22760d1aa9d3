/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_VHOST_USER_MEM_H
#define HV_VHOST_USER_MEM_H

#include "guest_mem.h"
#include "util/err.h"
#include "vhost_user_defs.h"

/* A front end's guest memory, mapped here. Nobody uses it while it changes. */
struct vhost_user_mem {
	struct guest_mem mem;
	struct vhost_user_map {
		uint64_t user;		/* in the front end's address space */
		void *map;
		size_t len;
	} map[GUEST_MEM_MAX_REGIONS];	/* of mem.region with the same index */
};

/*
 * Map one more region from @fd, which is closed in any case. -EINVAL: no region that could be, or
 * one that overlaps another; -ENOSPC: too many; -errno of the mapping.
 */
int vhost_user_mem_add(struct vhost_user_mem *m, const struct vhost_user_region *r, int fd,
		       struct hv_err *err);
/* -ENOENT: there is none like that. */
int vhost_user_mem_remove(struct vhost_user_mem *m, const struct vhost_user_region *r);
void vhost_user_mem_clear(struct vhost_user_mem *m);
/* The guest-physical address of what the front end has at @user; -ENOENT: it is in no region. */
int vhost_user_mem_gpa(const struct vhost_user_mem *m, uint64_t user, uint64_t *gpa);

/*
 * Map @size bytes at @offset of @fd, shared. The file must have them, or an access would be a
 * SIGBUS later. *@map and *@len are for munmap(); *@p is where the bytes begin.
 */
int vhost_user_map_fd(int fd, uint64_t offset, uint64_t size, void **map, size_t *len, void **p,
		      struct hv_err *err);

#endif
