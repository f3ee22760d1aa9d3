/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_RAM_H
#define HVM_RAM_H

#include <stdint.h>

#include "../../virtio-backends/guest_mem.h"
#include "../../virtio-backends/util/err.h"

/*
 * Guest RAM: one mapping of this process, shown to the guest below the hole and, for what does not
 * fit there, from 4 GiB on. Pages are the kernel's to give, huge where it can.
 */
struct hvm_ram {
	void *map;
	uint64_t size;
	struct guest_mem mem;
};

/* @size in bytes: a multiple of HVM_MEM_ALIGN, at least HVM_MEM_MIN. */
int hvm_ram_create(struct hvm_ram *ram, uint64_t size, struct hv_err *err);
void hvm_ram_destroy(struct hvm_ram *ram);
/* The first address above all RAM, at least 4 GiB. */
uint64_t hvm_ram_end(uint64_t size);
/* RAM below the hole. */
uint64_t hvm_ram_low(uint64_t size);

#endif
