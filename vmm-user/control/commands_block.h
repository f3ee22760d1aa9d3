/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HVM_CONTROL_COMMANDS_BLOCK_H
#define HVM_CONTROL_COMMANDS_BLOCK_H

#include <jansson.h>

#include "../../virtio-backends/util/err.h"

struct hvm_machine;

/*
 * Commands about disks, with QEMU's names and arguments; "device" is the id of a disk ("blk0"). Each
 * returns a value, or NULL and a message. The machine's loop.
 */
json_t *qmp_block_resize(struct hvm_machine *m, const json_t *arguments, struct hv_err *err);
json_t *qmp_blockdev_snapshot_sync(struct hvm_machine *m, const json_t *arguments,
				   struct hv_err *err);
json_t *qmp_blockdev_snapshot_internal_sync(struct hvm_machine *m, const json_t *arguments,
					    struct hv_err *err);
json_t *qmp_blockdev_snapshot_delete_internal_sync(struct hvm_machine *m, const json_t *arguments,
						   struct hv_err *err);

#endif
