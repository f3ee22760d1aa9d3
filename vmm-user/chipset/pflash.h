/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_PFLASH_H
#define HVM_PFLASH_H

#include "../../virtio-backends/state.h"
#include "../vm.h"

/*
 * Flash memory with the command set of Intel (CFI 0x0001), in which UEFI firmware keeps its
 * variables. In read mode it is a read-only slot of the VM; a write is a command, and leads to a
 * mode in which reads come here, too.
 *
 * What the guest programs is in the file, and on its disk, before the guest sees read mode again;
 * so the order of a driver's updates is that of the medium, which is what it builds upon.
 */
struct hvm_pflash;

#define HVM_PFLASH_BLOCK	4096u	/* what is erased at once */

struct hvm_pflash_config {
	struct hvm_vm *vm;
	uint64_t gpa;
	uint64_t size;		/* whole blocks */
	unsigned int slot;	/* of the VM's memory */
	const char *path;	/* where it is kept; NULL: nowhere */
	const void *contents;	/* for a file that does not exist, or without one; @size bytes */
	void (*log)(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
};

int hvm_pflash_create(const struct hvm_pflash_config *cfg, struct hvm_pflash **p,
		      struct hv_err *err);
/* -errno: the last that the guest wrote could not be kept. NULL is ignored. */
int hvm_pflash_destroy(struct hvm_pflash *p, struct hv_err *err);
/* Back to read mode. */
void hvm_pflash_reset(struct hvm_pflash *p);
/* Contents are saved, too, and written to the file by a load. */
void hvm_pflash_save(struct hvm_pflash *p, struct hv_state_writer *w);
int hvm_pflash_load(struct hvm_pflash *p, struct hv_state_reader *r, struct hv_err *err);

#endif
