/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_RAM_H
#define HVM_RAM_H

#include <stdbool.h>
#include <stdint.h>

#include "../../virtio-backends/guest_mem.h"
#include "../../virtio-backends/util/err.h"

/*
 * Guest RAM: one mapping of this process, shown to the guest below the hole and, for what does
 * not fit there, from 4 GiB on. Pages are the kernel's to give, huge where it can. It is private
 * to this process unless a back end in another one must reach it: shared memory gets huge pages
 * only where the host's administrator allows it
 * (/sys/kernel/mm/transparent_hugepage/shmem_enabled).
 */
struct hvm_ram {
	void *map;
	uint64_t size;
	int fd;			/* of shared memory; -1: it is private */
	struct guest_mem mem;
};

/* @size in bytes: a multiple of HVM_MEM_ALIGN, at least HVM_MEM_MIN. */
int hvm_ram_create(struct hvm_ram *ram, uint64_t size, bool shared, struct hv_err *err);
void hvm_ram_destroy(struct hvm_ram *ram);
/* The first address above all RAM, at least 4 GiB. */
uint64_t hvm_ram_end(uint64_t size);
/* RAM below the hole. */
uint64_t hvm_ram_low(uint64_t size);

#endif
