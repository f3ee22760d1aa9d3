// SPDX-License-Identifier: GPL-2.0-or-later
/* Commands of the control socket about disks; see commands_block.h. */
#include "commands_block.h"

#include <errno.h>
#include <string.h>

#include "../machine.h"

/* A string argument, or NULL and a message. */
static const char *get_string(const json_t *arguments, const char *key, struct hv_err *err)
{
	const char *s = json_string_value(json_object_get(arguments, key));

	if (!s)
		hv_err_set(err, -EINVAL, "\"%s\" is missing, a string", key);
	return s;
}

json_t *qmp_block_resize(struct hvm_machine *m, const json_t *arguments, struct hv_err *err)
{
	const json_t *size = json_object_get(arguments, "size");
	const char *device = get_string(arguments, "device", err);

	if (!device)
		return NULL;
	if (!json_is_integer(size) || json_integer_value(size) < 0) {
		hv_err_set(err, -EINVAL, "\"size\" is missing, bytes of the disk");
		return NULL;
	}
	return hvm_machine_disk_resize(m, device, (uint64_t)json_integer_value(size), err) ?
	       NULL : json_object();
}

static json_t *snapshot(struct hvm_machine *m, const json_t *arguments, enum blk_snapshot_op op,
			struct hv_err *err)
{
	const char *device = get_string(arguments, "device", err);
	const char *name = device ? get_string(arguments, "name", err) : NULL;

	return !name || hvm_machine_disk_snapshot(m, device, op, name, err) ? NULL : json_object();
}

json_t *qmp_blockdev_snapshot_internal_sync(struct hvm_machine *m, const json_t *arguments,
					    struct hv_err *err)
{
	return snapshot(m, arguments, BLK_SNAPSHOT_CREATE, err);
}

json_t *qmp_blockdev_snapshot_delete_internal_sync(struct hvm_machine *m, const json_t *arguments,
						   struct hv_err *err)
{
	return snapshot(m, arguments, BLK_SNAPSHOT_DELETE, err);
}

/* Of QEMU's modes and formats, those that are the default there, too. */
json_t *qmp_blockdev_snapshot_sync(struct hvm_machine *m, const json_t *arguments,
				   struct hv_err *err)
{
	const char *device = get_string(arguments, "device", err);
	const char *file = device ? get_string(arguments, "snapshot-file", err) : NULL;
	const char *format = json_string_value(json_object_get(arguments, "format"));
	const char *mode = json_string_value(json_object_get(arguments, "mode"));

	if (!file)
		return NULL;
	if ((format && strcmp(format, "qcow2")) || (mode && strcmp(mode, "absolute-paths"))) {
		hv_err_set(err, -ENOTSUP, "only format \"qcow2\" and mode \"absolute-paths\"");
		return NULL;
	}
	return hvm_machine_disk_overlay(m, device, file, err) ? NULL : json_object();
}
