/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HV_GUEST_MEM_H
#define HV_GUEST_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Guest-physical memory as a device sees it: a few regions of RAM mapped into this process. The
 * table is fixed while devices run.
 */
#define GUEST_MEM_MAX_REGIONS 8

struct guest_mem_region {
	uint64_t gpa;		/* guest-physical start, bytes */
	uint64_t size;		/* bytes */
	void *hva;		/* where it is mapped here */
	/* Other processes can map it, too: @offset of @fd, which is the owner's of the memory. */
	bool shared;
	int fd;
	uint64_t offset;
};

struct guest_mem {
	unsigned int nr;
	struct guest_mem_region region[GUEST_MEM_MAX_REGIONS];
};

/*
 * The address of [gpa, gpa + len) in this process, or NULL unless all of it lies in one region.
 * Whatever is read through it may change at any time: copy once, then validate.
 */
static inline void *guest_mem_ptr(const struct guest_mem *gm, uint64_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < gm->nr; i++) {
		const struct guest_mem_region *r = &gm->region[i];

		if (gpa >= r->gpa && gpa - r->gpa < r->size && len <= r->size - (gpa - r->gpa))
			return (char *)r->hva + (gpa - r->gpa);
	}
	return NULL;
}

#endif
